"""An archive in which every place that can hold text holds a word of its own, and a search for them."""

import base64
import io
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
from nibabel.nifti1 import Nifti1Extension
from numpy.typing import NDArray
from PIL import Image, PngImagePlugin
from pydicom import dcmread
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.tag import Tag
from pydicom.uid import UID

from tests.support.archives import dicom_file, encoded, nifti_volume, texture

STEM = "QZXJKWVH"
"""Every word starts with it; long enough to be known again in base64 wherever it begins."""
NUMBER_STEM = "77309150264811"
"""Every word of digits (UIDs, moments) holds it."""

TEXTS = {  # a standard attribute of every VR that holds characters; for most of them a word is no valid value
    "AE": "StationAETitle", "AS": "PatientAge", "CS": "PatientSex", "DA": "PatientBirthDate",
    "DS": "PatientWeight", "DT": "AcquisitionDateTime", "IS": "SeriesNumber", "LO": "PatientID",
    "LT": "AdditionalPatientHistory", "PN": "PatientName", "SH": "AccessionNumber",
    "ST": "InstitutionAddress", "TM": "StudyTime", "UC": "LongCodeValue", "UI": "FrameOfReferenceUID",
    "UR": "RetrieveURL", "UT": "TextValue",
}  # fmt: skip
READ_TEXTS = (
    "Modality", "BodyPartExamined", "PhotometricInterpretation", "WindowCenter", "RescaleSlope",
    "NumberOfFrames", "PresentationLUTShape", "SpecificCharacterSet", "PixelSpacing", "BitsAllocated",
    "ViewPosition", "Laterality", "ImageLaterality", "ScanningSequence", "AcquisitionContrast",
)  # fmt: skip
"""Attributes that decoding looks at: each is wrong in a file of its own."""


@dataclass
class Canaries:
    """Makes words, each for one place. named: those that are part of names of objects."""

    words: dict[str, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)

    def word(self, place: str) -> str:
        """Return a new word of 14 capitals."""
        number, letters = len(self.words), ""
        for _ in range(14 - len(STEM)):
            number, letter = divmod(number, 26)
            letters += chr(ord("A") + letter)
        return self._keep(place, STEM + letters)

    def name(self, place: str) -> str:
        """Return a word for the name of an object, which the crosswalk may hold."""
        word = self.word(place)
        self.named.add(word)
        return word

    def uid(self, place: str) -> str:
        """Return a valid UID."""
        return self._keep(place, f"1.2.826.0.1.{NUMBER_STEM}{len(self.words):02}")

    def _keep(self, place: str, word: str) -> str:
        assert word not in self.words
        self.words[word] = place
        return word


def plant(folder: Path) -> Canaries:
    """Fill a folder with files full of words, many of them broken, and return the words."""
    made = Canaries()
    files = {
        **_dicom_files(made),
        **_nifti_files(made),
        **_pictures(made),
        **_archives(made),
        f"{made.name('name of an empty file')}.png": b"",
        f"{made.name('name of a text file')}.dcm": f"Report of {made.word('text of a text file')}".encode()
        * 9,
    }
    below = folder / made.name("name of a folder")
    for name, data in files.items():
        path = below / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return made


def plant_alike(folder: Path, made: Canaries, count: int = 30) -> list[NDArray[np.uint8]]:
    """Add like pictures, enough for a profile, with words in names and texts; return their pixels."""
    below = folder / made.name("name of a folder of like pictures")
    below.mkdir(parents=True)
    pictures = [texture(40, 50, seed) for seed in range(count)]
    for pixels in pictures:
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", made.word(f"text of like picture {len(made.words)}"))
        name = made.name(f"name of like picture {len(made.words)}")
        (below / f"{name}.png").write_bytes(encoded(pixels, "PNG", pnginfo=texts))
    return pictures


def _dicom_files(made: Canaries) -> dict[str, bytes]:
    files = {f"{made.name('name of a DICOM file')}.dcm": _saved(_full(made))}
    files[f"{made.name('name of a cut DICOM file')}.dcm"] = _saved(_full(made, " (cut)"))[:9000]
    for keyword in READ_TEXTS:
        dataset = dcmread(io.BytesIO(dicom_file()))
        _set(dataset, keyword, made.word(f"wrong {keyword}"))
        files[f"wrong-{keyword}.dcm"] = _saved(dataset)
    foreign = dcmread(io.BytesIO(dicom_file()))
    foreign.file_meta.TransferSyntaxUID = UID(made.uid("unknown transfer syntax"))
    files["syntax.dcm"] = _saved(foreign, implicit_vr=False, little_endian=True)
    return files


def _full(made: Canaries, which: str = "") -> Dataset:
    """Return a CT slice with a word in every place that is not its pixels."""
    dataset = dcmread(io.BytesIO(dicom_file()))
    dataset.preamble = made.word(f"preamble{which}").encode().ljust(128, b"\0")
    for vr, keyword in TEXTS.items():
        _set(dataset, keyword, made.word(f"VR {vr}{which}"))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(dataset, keyword, made.uid(f"{keyword}{which}"))
    dataset.file_meta.SourceApplicationEntityTitle = made.word(f"file meta{which}")
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    block = dataset.private_block(0x0099, made.word(f"private creator{which}"), create=True)
    block.add_new(1, "LO", made.word(f"private text{which}"))
    block.add_new(2, "OB", made.word(f"private bytes{which}").encode())
    block.add_new(3, "UN", made.word(f"private unknown{which}").encode())
    dataset.RequestAttributesSequence = Sequence([_nested(made, which)])
    dataset.DataSetTrailingPadding = made.word(f"padding{which}").encode()
    return dataset


def _nested(made: Canaries, which: str) -> Dataset:
    inner, outer = Dataset(), Dataset()
    inner.CodeMeaning = made.word(f"sequence in a sequence{which}")
    outer.ScheduledProcedureStepDescription = made.word(f"sequence{which}")
    outer.RequestedProcedureCodeSequence = Sequence([inner])
    return outer


def _set(dataset: Dataset, keyword: str, text: str) -> None:
    """Set an attribute to characters, valid for its VR or not: as bytes that pydicom has not looked at."""
    tag = Tag(keyword)
    dataset[tag] = RawDataElement(tag, dictionary_VR(tag), len(text), text.encode(), 0, False, True)


def _saved(dataset: Dataset, **options: bool) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(out, **options)
    return out.getvalue()


def _nifti_files(made: Canaries) -> dict[str, bytes]:
    volume = nibabel.Nifti1Image.from_bytes(nifti_volume((20, 18, 3), 1))
    for name in ("descrip", "aux_file", "intent_name", "db_name"):
        volume.header[name] = made.word(f"NIfTI {name}").encode()
    volume.header.extensions.append(Nifti1Extension("comment", made.word("NIfTI extension").encode()))
    whole = volume.to_bytes()
    name = made.name("name of a NIfTI file")
    wrong = bytearray(whole)
    struct.pack_into("<h", wrong, 70, 4242)  # an unknown datatype
    return {f"{name}.nii": whole, "cut.nii": whole[:900], "wrong.nii": bytes(wrong)}


def _pictures(made: Canaries) -> dict[str, bytes]:
    pixels = texture(40, 50, 1)
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Author", made.word("PNG tEXt"))
    texts.add_text("Comment", made.word("PNG zTXt"), zip=True)
    texts.add_itxt("Title", made.word("PNG iTXt"))
    png = encoded(pixels, "PNG", pnginfo=texts, exif=_exif(made, "PNG"))
    jpeg = encoded(pixels, "JPEG", exif=_exif(made, "JPEG"), comment=made.word("JPEG comment").encode())
    tags = {270: made.word("TIFF description"), 315: made.word("TIFF artist")}
    tiff = encoded(pixels, "TIFF", tiffinfo=tags)
    damaged = png.replace(b"tEXtAuthor", b"tEXtAuthoR")  # its checksum is wrong now
    return {
        f"{made.name('name of a PNG file')}.png": png,
        "photo.jpg": jpeg,
        "scan.tif": tiff,
        "webp.webp": encoded(pixels, "WEBP", exif=_exif(made, "WebP")),
        "damaged.png": damaged,
        "cut.png": png[: len(png) // 2],
        "cut.jpg": jpeg[: len(jpeg) * 2 // 3],
        "cut.tif": tiff[:-60],
    }


def _exif(made: Canaries, form: str) -> Image.Exif:
    exif = Image.Exif()
    exif[0x010E] = made.word(f"{form} EXIF description")
    exif[0x013B] = made.word(f"{form} EXIF artist")
    exif[0x0112] = 6
    return exif


def _archives(made: Canaries) -> dict[str, bytes]:
    picture = encoded(texture(30, 30, 2), "PNG")
    zipped, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(zipped, "w") as file:
        info = zipfile.ZipInfo(f"{made.name('zip member')}.png")
        info.comment = made.word("zip member comment").encode()
        file.writestr(info, picture)
        file.writestr(f"../{made.name('zip member outside')}.png", picture)
        file.writestr(f"{made.name('broken zip member')}.png", picture[:200])
        file.comment = made.word("zip comment").encode()
    with tarfile.open(fileobj=tarred, mode="w", format=tarfile.PAX_FORMAT) as file:
        member = tarfile.TarInfo(f"{made.name('tar member')}.png")
        member.size, member.uname = len(picture), made.word("tar owner")
        member.pax_headers = {"comment": made.word("tar header")}
        file.addfile(member, io.BytesIO(picture))
    return {
        f"{made.name('name of a zip file')}.zip": zipped.getvalue(),
        f"{made.name('name of a cut zip file')}.zip": zipped.getvalue()[:-80],
        f"{made.name('name of a tar file')}.tar": tarred.getvalue(),
        f"{made.name('name of a cut tar file')}.tar": tarred.getvalue()[:700],
    }


@cache
def spellings(text: str) -> tuple[bytes, ...]:
    """Return a text in every encoding that is searched: UTF-8, UTF-16, hexadecimal, base64 at any offset."""
    return tuple(dict.fromkeys(_spelt(text)))


def _spelt(text: str) -> Iterator[bytes]:
    data = text.encode()
    for plain in (data, text.encode("utf-16-le"), text.encode("utf-16-be")):
        yield plain
        yield plain.hex().encode()
        yield plain.hex().upper().encode()
        for offset in range(3):
            coded = base64.b64encode(b"\0" * offset + plain)
            # the characters at both ends depend on neighbours
            yield coded[-(-offset * 4 // 3) : len(coded) - 4 if len(plain) % 3 or offset else len(coded)]


def search(data: bytes, extra: tuple[str, ...] = ()) -> list[str]:
    """Return what was found of the words, and of ``extra`` texts, in some bytes; upper and lower case."""
    found = []
    for text in (STEM, NUMBER_STEM, *extra):
        if any(needle in data for needle in spellings(text)) or text.lower().encode() in data.lower():
            found.append(text)
    return found


def pixels_of_noise() -> bytes:
    """Return bytes that hold no word, to tell a search that finds everything."""
    return np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8).tobytes()
