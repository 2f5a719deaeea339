"""Makes the tiny models of random weights that the classifiers are tested with, and the figures that they have to give.

Needs Python with `onnx` and `numpy`; the project itself needs neither. Run from the root of the checkout:

    python scripts/make-tiny-classifiers/make_tiny_classifiers.py

Three graphs, each two convolutions over the signal, a mean over time and linear heads: one for emotion (a mask is among its
inputs), one for age and sex, one for speakers. That for age and sex is there twice, the second time with its weights in a file
beside it. The figures are those of onnx's own reference evaluator, which is slow and shares no code with onnxruntime; windows,
normalisation and pooling are worked out here once more, in numpy and in double precision.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

TARGET = Path(__file__).parents[2] / "test" / "fixtures" / "tiny-classifiers"
RATE = 16000
WIDTH = 8
OPSET = 17


def weights(random, *shape):
    """Small enough to keep the figures of the order of 1."""
    fan_in = int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]
    return random.standard_normal(shape).astype(np.float32) / np.sqrt(fan_in).astype(np.float32)


def graph(seed, signal, mask, heads):
    """heads: name, width, activation (None or "Sigmoid" or "Softmax")."""
    random = np.random.default_rng(seed)
    initial, nodes = [], []

    def constant(name, value):
        initial.append(numpy_helper.from_array(value, name))
        return name

    def node(kind, inputs, output, **attributes):
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    x = node("Unsqueeze", [signal, constant("axis", np.array([1], np.int64))], "channels")
    first = constant("first.weight", weights(random, WIDTH, 1, 320) * 6)
    x = node("Conv", [x, first, constant("first.bias", weights(random, WIDTH))], "first", strides=[160])
    x = node("Relu", [x], "first.relu")
    second = constant("second.weight", weights(random, WIDTH, WIDTH, 5) * 2)
    x = node("Conv", [x, second, constant("second.bias", weights(random, WIDTH))], "second", strides=[2])
    x = node("Tanh", [x], "second.tanh")
    if mask is not None:
        # The part of the mask that is 1: no more than a factor, so that a mask that is not fed would be seen.
        share = node("Cast", [mask], "mask.float", to=TensorProto.FLOAT)
        share = node("ReduceMean", [share], "mask.mean", axes=[1], keepdims=1)
    x = node("ReduceMean", [x], "pooled", axes=[2], keepdims=0)
    if mask is not None:
        x = node("Mul", [x, share], "masked")
    for name, width, activation in heads:
        w = constant(f"{name}.weight", weights(random, width, WIDTH) * 3)
        b = constant(f"{name}.bias", weights(random, width) * 0.1)
        if activation is None:
            node("Gemm", [x, w, b], name, transB=1)
        else:
            node("Gemm", [x, w, b], f"{name}.logits", transB=1)
            attributes = {"axis": 1} if activation == "Softmax" else {}
            node(activation, [f"{name}.logits"], name, **attributes)
    inputs = [helper.make_tensor_value_info(signal, TensorProto.FLOAT, ["batch", "samples"])]
    if mask is not None:
        inputs.append(helper.make_tensor_value_info(mask, TensorProto.INT64, ["batch", "samples"]))
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width])
        for name, width, _ in heads
    ]
    made = helper.make_model(
        helper.make_graph(nodes, "tiny", inputs, outputs, initial),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=9,
    )
    onnx.checker.check_model(made)
    return made


def signal_of(seconds, hertz):
    """As the tests make it: two sines whose loudness rises, in 16 bits."""
    t = np.arange(round(seconds * RATE)) / RATE
    wave = (0.1 + 0.02 * t) * np.sin(2 * np.pi * hertz * t) + 0.05 * np.sin(2 * np.pi * 7.3 * hertz * t)
    return np.round(wave * 32767) / 32767


def unit_variance(window):
    return (window - window.mean()) / np.sqrt(window.var() + 1e-7)


def windows_of(signal, segments, least, longest):
    speech = np.concatenate([signal[round(a * RATE) : round(b * RATE)] for a, b in segments])
    full = int(longest * RATE)
    count = len(speech) // full
    windows = [speech[i * full : (i + 1) * full] for i in range(count)]
    rest = speech[count * full :]
    if len(rest) >= least * RATE:
        windows.append(rest[: len(rest) // 4000 * 4000])
    return windows


def run(model, windows, normalize, with_mask):
    evaluator = ReferenceEvaluator(model)
    rows = {}
    for window in windows:
        ready = unit_variance(window) if normalize else window
        feeds = {model.graph.input[0].name: ready.astype(np.float32)[None]}
        if with_mask:
            feeds[model.graph.input[1].name] = np.ones((1, len(window)), np.int64)
        for output, value in zip(model.graph.output, evaluator.run(None, feeds)):
            rows.setdefault(output.name, []).append(value[0].astype(np.float64))
    weight = np.array([len(window) for window in windows], np.float64)
    return {name: np.stack(values) for name, values in rows.items()}, weight / weight.sum()


def softmax(rows):
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def describe(path):
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def main():
    TARGET.mkdir(parents=True, exist_ok=True)
    emotion = graph(1, "input_values", "attention_mask", [("dims", 3, "Sigmoid"), ("logits", 4, None)])
    age_sex = graph(2, "signal", None, [("age", 1, "Sigmoid"), ("sex", 3, "Softmax")])
    speaker = graph(3, "input_values", None, [("embeddings", 16, None)])
    onnx.save(emotion, TARGET / "emotion.onnx")
    onnx.save(age_sex, TARGET / "age-sex.onnx")
    onnx.save(speaker, TARGET / "speaker.onnx")
    (TARGET / "outside.onnx_data").unlink(missing_ok=True)
    onnx.save(
        graph(2, "signal", None, [("age", 1, "Sigmoid"), ("sex", 3, "Softmax")]),
        TARGET / "outside.onnx",
        save_as_external_data=True,
        all_tensors_to_one_file=True,
        location="outside.onnx_data",
        # The axis stays in the graph: its shapes hang on it.
        size_threshold=100,
    )
    (TARGET / "outside.onnx_data").chmod(0o644)
    recordings = []
    for seconds, hertz, segments in [
        (3.0, 140, [[0.25, 2.75]]),
        (9.0, 210, [[0.5, 4.0], [4.5, 8.75]]),
    ]:
        signal = signal_of(seconds, hertz)
        windows = windows_of(signal, segments, 1, 2)
        rows, weight = run(emotion, windows, True, True)
        dims = 2 * (weight @ rows["dims"]) - 1
        labels = weight @ softmax(rows["logits"])
        rows, weight = run(age_sex, windows, False, False)
        years = rows["age"][:, 0] * 100
        mean = weight @ years
        spread = np.sqrt(weight @ (years - mean) ** 2)
        sex = weight @ rows["sex"]
        rows, weight = run(speaker, windows, True, False)
        directions = rows["embeddings"] / np.linalg.norm(rows["embeddings"], axis=1, keepdims=True)
        embedding = weight @ directions
        recordings.append(
            {
                "seconds": seconds,
                "hertz": hertz,
                "speech": [{"start_s": a, "end_s": b} for a, b in segments],
                "windows": len(windows),
                "speech_s": sum(len(window) for window in windows) / RATE,
                "dimensions": dims.tolist(),
                "labels": labels.tolist(),
                "years": mean,
                "spread_years": spread,
                "sex": sex.tolist(),
                "embedding": (embedding / np.linalg.norm(embedding)).tolist(),
            }
        )
    files = {path.name: describe(path) for path in sorted(TARGET.glob("*.onnx*"))}
    (TARGET / "expected.json").write_text(
        json.dumps({"files": files, "recordings": recordings}, indent=2) + "\n"
    )


if __name__ == "__main__":
    main()
