"""Small competitions in exactly the layouts of the presets: same files, columns and names, made-up images."""

import zlib

import numpy as np
import pandas as pd
from PIL import Image


def make_image(label, number, size=(40, 36), mode="RGB"):
    """An image that shows its label: brightness by a hash of it, a wave and noise by the number."""
    rng = np.random.default_rng([zlib.crc32(str(label).encode()), number])
    level = 40 + zlib.crc32(str(label).encode()) % 170
    y, x = np.mgrid[0 : size[1], 0 : size[0]]
    wave = 20 * np.sin(x / rng.uniform(3, 9) + y / rng.uniform(3, 9))
    pixels = level + wave[..., None] + rng.normal(0, 6, (*wave.shape, 3))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).convert(mode)


def save(path, label, number, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    make_image(label, number, **options).save(path)


def write(folder, name, rows, columns):
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).to_csv(folder / name, index=False)


def intel(folder):
    for label in ("buildings", "forest", "glacier"):
        for number in range(6):
            save(folder / "seg_train" / "seg_train" / label / f"{number}{label}.jpg", label, number)
            save(folder / "seg_test" / "seg_test" / label / f"2{number}.jpg", label, 100 + number)
    for number in range(5):
        save(folder / "seg_pred" / "seg_pred" / f"{number}.jpg", "forest", 200 + number)


def recursion(folder):
    train, test = [], []
    for number in range(24):
        part, rows = ("train", train) if number < 18 else ("test", test)
        experiment, plate, well = f"HEPG2-0{number % 3 + 1}", number % 2 + 1, f"B{number:02d}"
        label = number % 3
        code = f"{experiment}_{plate}_{well}"
        rows.append((code, experiment, plate, well, label)[: 5 if part == "train" else 4])
        for site in (1, 2):
            for channel in range(1, 7):
                path = folder / part / experiment / f"Plate{plate}" / f"{well}_s{site}_w{channel}.png"
                save(path, label, number * 100 + site * 10 + channel, size=(36, 36), mode="L")
    columns = ["id_code", "experiment", "plate", "well", "sirna"]
    write(folder, "train.csv", train, columns)
    write(folder, "test.csv", test, columns[:4])
    write(folder, "train_controls.csv", [], [*columns, "well_type"])
    write(folder, "sample_submission.csv", [(row[0], 0) for row in test], ["id_code", "sirna"])


def melanoma(folder):
    train, test = [], []
    for number in range(30):
        label = int(number % 5 == 0)
        part, rows = ("train", train) if number < 24 else ("test", test)
        row = (f"ISIC_{number:07d}", f"IP_{number // 3:07d}", "male", 45.0 if number % 4 else "", "torso")
        rows.append((*row, "unknown", "malignant" if label else "benign", label) if part == "train" else row)
        save(folder / "jpeg" / part / f"{row[0]}.jpg", label, number)
    columns = ["image_name", "patient_id", "sex", "age_approx", "anatom_site_general_challenge"]
    write(folder, "train.csv", train, [*columns, "diagnosis", "benign_malignant", "target"])
    write(folder, "test.csv", test, columns)
    write(folder, "sample_submission.csv", [(row[0], 0) for row in test], ["image_name", "target"])


def aptos(folder):
    ids = [f"{number:012x}" for number in range(1, 21)]
    for number, identifier in enumerate(ids):
        part = "train_images" if number < 15 else "test_images"
        save(folder / part / f"{identifier}.png", number % 5, number)
    write(folder, "train.csv", [(name, n % 5) for n, name in enumerate(ids[:15])], ["id_code", "diagnosis"])
    write(folder, "test.csv", [(name,) for name in ids[15:]], ["id_code"])
    write(folder, "sample_submission.csv", [(name, 0) for name in ids[15:]], ["id_code", "diagnosis"])


def retinopathy(folder):
    train, test = [], []
    for patient in range(12):
        for eye in ("left", "right"):
            part, rows = ("train", train) if patient < 9 else ("test", test)
            rows.append((f"{patient + 10}_{eye}", patient % 3))
            save(folder / part / f"{patient + 10}_{eye}.jpeg", patient % 3, patient * 2 + (eye == "left"))
    write(folder, "trainLabels.csv", train, ["image", "level"])
    write(folder, "sampleSubmission.csv", [(name, 0) for name, _ in test], ["image", "level"])


def fashion(folder):
    for name, rows in (("train", 20), ("test", 6)):
        lines = []
        for number in range(rows):
            pixels = np.asarray(make_image(number % 4, number + 1000 * (name == "test"), (28, 28), "L"))
            lines.append([number % 4, *pixels.ravel().tolist()])
        columns = ["label", *(f"pixel{number}" for number in range(1, 785))]
        write(folder, f"fashion-mnist_{name}.csv", lines, columns)


def cdiscount(folder):
    import bson

    folder.mkdir(parents=True, exist_ok=True)
    for name, products in (("train", range(18)), ("test", range(100, 106))):
        with open(folder / f"{name}.bson", "wb") as file:
            for product in products:
                images = []
                for number in range(1 + product % 3):
                    path = folder / "image.jpg"
                    save(path, product % 3, product * 10 + number)
                    images.append({"image": path.read_bytes()})
                    path.unlink()
                document = {"_id": product, "category_id": 1000010653 + product % 3, "imgs": images}
                if name == "test":
                    del document["category_id"]
                file.write(bson.encode(document))
    rows = [(product, 1000010653) for product in range(100, 106)]
    write(folder, "sample_submission.csv", rows, ["_id", "category_id"])


def seedlings(folder):
    for label in ("Black-grass", "Common Chickweed", "Small-flowered Cranesbill"):
        for number in range(6):
            save(folder / "train" / label / f"{zlib.crc32(label.encode()):x}{number}.png", label, number)
    names = [f"{number:09x}.png" for number in range(5)]
    for number, name in enumerate(names):
        save(folder / "test" / name, "Black-grass", 50 + number)
    write(folder, "sample_submission.csv", [(name, "Black-grass") for name in names], ["file", "species"])


def aesthetic(folder):
    lines = []
    for number in range(20):
        votes = np.random.default_rng(number).multinomial(60, np.eye(10)[number % 10] * 0.5 + 0.05)
        lines.append(f"{number + 1} {953600 + number} {' '.join(map(str, votes))} 1 22 1396")
        save(folder / "images" / f"{953600 + number}.jpg", number % 10, number)
    (folder / "AVA.txt").write_text("\n".join(lines) + "\n")


def protein(folder):
    train, test = [], []
    for number in range(26):
        identifier = f"{number:08x}-bb99-11e8-b2b9-ac1f6b6435d0"
        labels = sorted({number % 4, number * 3 % 5}, reverse=True)
        part, rows = ("train", train) if number < 20 else ("test", test)
        rows.append((identifier, " ".join(map(str, labels)) if part == "train" else "0"))
        for channel in ("red", "green", "blue", "yellow"):
            save(folder / part / f"{identifier}_{channel}.png", f"{labels[0]}{channel}", number, mode="L")
    write(folder, "train.csv", train, ["Id", "Target"])
    write(folder, "sample_submission.csv", test, ["Id", "Predicted"])


def lemon(folder):
    train = [(f"train_{number:04d}.jpg", number % 4) for number in range(20)]
    test = [(f"test_{number:04d}.jpg",) for number in range(5)]
    for number, (name, label) in enumerate(train):
        save(folder / "train_images" / name, label, number)
    for number, (name,) in enumerate(test):
        save(folder / "test_images" / name, number % 4, 500 + number)
    write(folder, "train_images.csv", train, ["id", "class_num"])
    write(folder, "test_images.csv", test, ["id"])
    (folder / "sample_submit.csv").write_text("".join(f"{name},0\n" for (name,) in test))


WRITERS = {
    "intel-image-classification": intel,
    "recursion-cellular-image-classification": recursion,
    "siim-isic-melanoma-classification": melanoma,
    "aptos2019-blindness-detection": aptos,
    "diabetic-retinopathy-detection": retinopathy,
    "fashionmnist": fashion,
    "cdiscount-image-classification-challenge": cdiscount,
    "plant-seedlings-classification": seedlings,
    "ava-aesthetic-visual-assessment": aesthetic,
    "human-protein-atlas-image-classification": protein,
    "lemon-quality": lemon,
}
