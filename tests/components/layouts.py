"""Miniature data sets in every format, as texts by file name, small enough to be checked by eye."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image

META = '{"mini": {"ATTRIBUTES": ["neck", "sleeve"], "ATTRIBUTES_NUM": {"neck": 2, "sleeve": 3}}}'

CATALOGUE = {
    "catalogue.csv": "image,split,role,neck,sleeve\na.jpg,train,,v,long\nb.jpg,valid,query,round,\nc.jpg,test,candidate,v|round,short\n"
}

FASHIONAI = {
    "train1/Annotations/label.csv": (
        "Images/neck_design_labels/a.jpg,neck_design_labels,nnynn\n"
        "Images/neck_design_labels/b.jpg,neck_design_labels,ynmnn\n"
        "Images/pant_length_labels/c.jpg,pant_length_labels,nnnnny\n"
    ),
    "test/Annotations/label.csv": "Images/pant_length_labels/d.jpg,pant_length_labels,nmynnn",
}

# Two attributes, two classes and three; the lists' last lines lack their end, the third photo of test is queried first.
ASEN = {
    "meta.json": META,
    "filenames_train.txt": "img/a.jpg\nimg/b.jpg",
    "label_train.txt": "0 0 1 1 2\n1 1 0",
    "filenames_test.txt": "img/c.jpg\r\nimg/d.jpg\r\nimg/e.jpg",
    "query_test.txt": "2 1 2\r\n0 0 1",
    "candidate_test.txt": "1 0 1\n",
}

# Types of 2 and 3 classes, which global numbers 0, 3 and 1, 2, 4 belong to.
ASEN_ALL = ASEN | {"label_test.txt": "0\t1\t3\t2\t1\t\t\r\n1\t1\t3\t1\t0\t\t\r\n2\t2\t2\t2\t4"}

DARN = {
    "filenames_valid.txt": "pic/50000001/1_2.jpg\npic/50000002/3_4.jpg\n",
    "query_valid.txt": "1 8 16",
    "candidate_valid.txt": "0 2 54",
}

DEEPFASHION = {
    "Anno/list_attr_cloth.txt": (
        "6\nattribute_name  attribute_type\nfloral print        1\ncotton    2\na-line    3\nhigh-low hem  4\nboho   5\nplaid  1\n"
    ),
    "Anno/list_attr_img.txt": (
        "3\nimage_name  attribute_labels\n"
        "img/Tee/img_00000001.jpg     1 -1 -1  0 -1  1\n"
        "img/Tee/img_00000002.jpg    -1  1 -1 -1 -1 -1\n"
        "img/Skirt/img_00000001.jpg  -1 -1  1  1  1 -1\n"
    ),
    "Anno/list_category_cloth.txt": "2\ncategory_name  category_type\nTank Top  1\nSkirt  2\n",
    "Anno/list_category_img.txt": (
        "3\nimage_name  category_label\n"
        "img/Tee/img_00000001.jpg  1\nimg/Tee/img_00000002.jpg  1\nimg/Skirt/img_00000001.jpg  2\n"
    ),
    "Eval/list_eval_partition.txt": (
        "3\nimage_name  evaluation_status\n"
        "img/Tee/img_00000001.jpg  train\nimg/Tee/img_00000002.jpg  val\nimg/Skirt/img_00000001.jpg  test\n"
    ),
}

LAYOUTS = {
    "catalogue": CATALOGUE,
    "fashionai": FASHIONAI,
    "asen": ASEN,
    "asen_all": ASEN_ALL,
    "darn": DARN,
    "deepfashion": DEEPFASHION,
    "deepfashion_category": DEEPFASHION,
}


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes `files` below `folder`, byte for byte."""
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def path_of(data_format: str, folder: Path) -> str:
    """What `data.catalogue` is for a layout in `folder`."""
    return str(folder / "catalogue.csv" if data_format == "catalogue" else folder)


def draw(locations: Iterable[str]) -> None:
    """A photo at each place."""
    for number, location in enumerate(locations):
        Path(location).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 32), (40 * number % 256, 90, 160)).save(location)
