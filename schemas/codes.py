"""Closed lists of codes that may be written down; anything else becomes ``other``.

Free text in these fields of a file could carry personal data, so only known codes pass.
"""

from collections.abc import Iterable

OTHER = "other"

MODALITIES = frozenset(
    """
    AR AS AU BDUS BI BMD CD CF CP CR CS CT DD DF DG DM DS DX EC ES FA FS GM HC IO IVOCT IVUS KER LEN LP
    LS MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OT PT PX RF RG SM ST TG US VA VF XA XC
    """.split()
)
"""Modality codes of image-carrying objects (DICOM PS3.3 C.7.3.1.1.1, retired ones included)."""

BODY_PARTS = frozenset(
    """
    ABDOMEN ABDOMENPELVIS ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK CALCANEUS
    CALF CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE
    COCCYX COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID
    FACE FEMUR FINGER FOOT GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS ILEUM ILIUM IAC JAW JEJUNUM
    KIDNEY KNEE LARYNX LEG LIVER LSPINE LSSPINE LUMBAR LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK
    NECKCHEST NECKCHESTABDOMEN NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE
    RECTUM RIB SACRUM SCALP SCAPULA SCLERA SCROTUM SHOULDER SIJOINT SKULL SPINE SPLEEN SSPINE STERNUM
    STOMACH TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA TIBIAFIBULA TLSPINE TMJ TOE TONGUE TRACHEA
    TSPINE ULNA URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA
    """.split()
)
"""Body Part Examined (DICOM PS3.16 Annex L)."""

VIEWS = frozenset(
    """
    AP PA LL RL RLD LLD RLO LLO LPO RPO LAO RAO LATERAL OBLIQUE AXIAL TANGENTIAL
    CC MLO ML LM LMO FB SIO ISO XCC XCCL XCCM
    """.split()
)
"""View Position (DICOM PS3.3 C.8.1.1; of mammography the abbreviations of PS3.16 CID 4014)."""

LATERALITIES = frozenset("LRUB")
"""Image, Frame and Series Laterality (DICOM PS3.3 C.8.11.7, C.7.6.16.2.8, C.7.3.1)."""

SERIES_KINDS = frozenset(
    (
        # Image Type, value 3: of CT, MR, PET and enhanced objects, of projections, of nuclear medicine
        "AXIAL", "LOCALIZER", "MPR", "PROJECTION IMAGE", "DENSITY MAP", "DIFFUSION MAP", "IMAGE ADDITION",
        "MODULUS SUBTRACT", "PHASE MAP", "PHASE SUBTRACT", "T1 MAP", "T2 MAP", "VELOCITY MAP", "ANGIO",
        "CARDIAC", "CARDIAC_GATED", "CARDRESP_GATED", "DYNAMIC", "FLUOROSCOPY", "MOTION", "PERFUSION",
        "PRE_CONTRAST", "POST_CONTRAST", "RESP_GATED", "REST", "STATIC", "STRESS", "VOLUME", "NON_PARALLEL",
        "WHOLE_BODY", "WHOLE BODY", "GATED", "TOMO", "GATED TOMO", "RECON TOMO", "RECON GATED TOMO",
        "SINGLE PLANE", "BIPLANE A", "BIPLANE B", "STEREO_SCOUT", "STEREO_MINUS", "STEREO_PLUS",
        # Acquisition Contrast of enhanced MR
        "DIFFUSION", "FLOW_ENCODED", "FLUID_ATTENUATED", "PROTON_DENSITY", "STIR", "TAGGING", "T1", "T2",
        "T2_STAR", "TOF",
        # Scanning Sequence of MR
        "SE", "IR", "GR", "EP", "RM",
    )
)  # fmt: skip
"""Image Type, Acquisition Contrast, Scanning Sequence (PS3.3 C.8.2, C.8.3, C.8.4, C.8.7, C.8.13, C.8.16)."""


def allowed(code: str, codes: frozenset[str]) -> str:
    """Return the code in capitals if the list has it, "" for none, else ``other``."""
    code = code.strip().upper()
    if not code:
        return ""
    return code if code in codes else OTHER


def all_allowed(found: Iterable[str], codes: frozenset[str]) -> str:
    """Return those of several codes that the list has, joined by "-"; "" for none, ``other`` for others."""
    passed = [code for one in found if (code := allowed(one, codes))]
    return "-".join(dict.fromkeys(code for code in passed if code != OTHER)) or (OTHER if passed else "")
