"""Closed lists of codes that may be written down; anything else becomes ``other``.

Free text in these fields of a file could carry personal data, so only known codes pass.
"""

OTHER = "other"

MODALITIES = frozenset(
    ["AR", "AS", "AU", "BDUS", "BI", "BMD", "CD", "CF", "CP", "CR", "CS", "CT", "DD", "DF", "DG", "DM", "DS", "DX", "EC", "ES", "FA", "FS", "GM", "HC", "IO", "IVOCT", "IVUS", "KER", "LEN", "LP", "LS", "MA", "MG", "MR", "MS", "NM", "OAM", "OCT", "OP", "OPM", "OPR", "OPT", "OPTBSV", "OPTENF", "OPV", "OT", "PT", "PX", "RF", "RG", "SM", "ST", "TG", "US", "VA", "VF", "XA", "XC"]
)
"""Modality codes of image-carrying objects (DICOM PS3.3 C.7.3.1.1.1, retired ones included)."""

BODY_PARTS = frozenset(
    ["ABDOMEN", "ABDOMENPELVIS", "ANKLE", "AORTA", "ARM", "AXILLA", "BACK", "BLADDER", "BRAIN", "BREAST", "BRONCHUS", "BUTTOCK", "CALCANEUS", "CALF", "CAROTID", "CEREBELLUM", "CERVIX", "CHEEK", "CHEST", "CHESTABDOMEN", "CHESTABDPELVIS", "CIRCLEOFWILLIS", "CLAVICLE", "COCCYX", "COLON", "CORNEA", "CORONARYARTERY", "CSPINE", "CTSPINE", "DUODENUM", "EAR", "ELBOW", "ESOPHAGUS", "EXTREMITY", "EYE", "EYELID", "FACE", "FEMUR", "FINGER", "FOOT", "GALLBLADDER", "HAND", "HEAD", "HEADNECK", "HEART", "HIP", "HUMERUS", "ILEUM", "ILIUM", "IAC", "JAW", "JEJUNUM", "KIDNEY", "KNEE", "LARYNX", "LEG", "LIVER", "LSPINE", "LSSPINE", "LUMBAR", "LUNG", "MANDIBLE", "MAXILLA", "MEDIASTINUM", "MOUTH", "NECK", "NECKCHEST", "NECKCHESTABDOMEN", "NOSE", "ORBIT", "OVARY", "PANCREAS", "PAROTID", "PATELLA", "PELVIS", "PENIS", "PHARYNX", "PROSTATE", "RECTUM", "RIB", "SACRUM", "SCALP", "SCAPULA", "SCLERA", "SCROTUM", "SHOULDER", "SIJOINT", "SKULL", "SPINE", "SPLEEN", "SSPINE", "STERNUM", "STOMACH", "TESTIS", "THIGH", "THORAX", "THUMB", "THYMUS", "THYROID", "TIBIA", "TIBIAFIBULA", "TLSPINE", "TMJ", "TOE", "TONGUE", "TRACHEA", "TSPINE", "ULNA", "URETER", "URETHRA", "UTERUS", "VAGINA", "VULVA", "WHOLEBODY", "WRIST", "ZYGOMA"]
)
"""Body Part Examined (DICOM PS3.16 Annex L)."""


def allowed(code: str, codes: frozenset[str]) -> str:
    """Return the code in capitals if the list has it, "" for none, else ``other``."""
    code = code.strip().upper()
    if not code:
        return ""
    return code if code in codes else OTHER
