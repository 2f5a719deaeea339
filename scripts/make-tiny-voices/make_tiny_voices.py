"""Makes test/fixtures/tiny-voices: voices of random weights in the form of Kokoro's and Piper's, and what they say.

Run by hand, at development only; nothing of the product needs Python.

    python3 -m venv VENV && VENV/bin/pip install numpy onnx onnxruntime
    VENV/bin/python scripts/make-tiny-voices/make_tiny_voices.py && npx oxfmt test/fixtures/tiny-voices

The graphs have the names, types and dimensions of the published exports, so the code that runs those runs these: each symbol
becomes some frames, as many as its length asks for, and each frame some samples. What they say is noise. `reference.json` holds
what each gives for a text whose pronunciation stands here in the symbols of the model, computed by numpy in double precision, from
the formulas and not from the graphs; onnxruntime is asked too, and has to agree.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parents[2]
OUT = ROOT / "test/fixtures/tiny-voices"
WIDTH = 8
STYLE = 256
SPEAKERS = 3
EVERY = 211

PUNCTUATION = [",", ".", ";", ":", "!", "?"]
CONSONANTS = list("bdfhjklmnpstvwzðŋɡɹʃʒθ")
KOKORO_SYMBOLS = ["$", *PUNCTUATION, " ", "ˈ", *CONSONANTS, *list("ʤʧæəᵊiuɑɔɛɜɪʊʌAIOWYɾˌ")]
# One symbol is missing on purpose: ʊ, so that something is left out.
PIPER_SYMBOLS = ["_", "^", "$", *PUNCTUATION, " ", "ˈ", "ː", *CONSONANTS, *list("aeioæuəɑɔɛɜɪʌɚɾˌ")]

random = np.random.default_rng(1)


def weights(*shape):
    return random.normal(0, 0.5, shape).astype(np.float32)


def tensor(name, array):
    return numpy_helper.from_array(np.asarray(array), name)


def style_row(row):
    """A row of the style file that the tests write: simple fractions, the same in every precision."""
    return (((row * 31 + np.arange(STYLE) * 17) % 257) - 128) / 128


def expand(nodes, durations, vectors):
    """Nodes that repeat each of `vectors` [n, width] as often as `durations` [n] says: → "frames"."""
    nodes += [
        helper.make_node("CumSum", [durations, "axis0"], ["ends"]),
        helper.make_node("ReduceSum", [durations], ["total"], keepdims=0),
        helper.make_node("Range", ["zero", "total", "one"], ["clock"]),
        helper.make_node("Unsqueeze", ["clock", "axis1"], ["clock2"]),
        helper.make_node("Unsqueeze", ["ends", "axis0"], ["ends2"]),
        helper.make_node("GreaterOrEqual", ["clock2", "ends2"], ["passed"]),
        helper.make_node("Cast", ["passed"], ["passed_int"], to=TensorProto.INT64),
        helper.make_node("ReduceSum", ["passed_int", "axis1"], ["which"], keepdims=0),
        helper.make_node("Gather", [vectors, "which"], ["frames"]),
    ]


CONSTANTS = [
    tensor("axis0", np.array([0], np.int64).reshape(())),
    tensor("axis1", np.array([1], np.int64)),
    tensor("zero", np.array(0, np.int64)),
    tensor("one", np.array(1, np.int64)),
]


def save(path, nodes, inputs, outputs, constants):
    graph = helper.make_graph(nodes, "voice", inputs, outputs, CONSTANTS + constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def run(path, feeds):
    return onnxruntime.InferenceSession(str(path)).run(None, feeds)[0]


def thinned(samples):
    return [round(float(x), 6) for x in samples[::EVERY]]


def make_kokoro():
    hop = 240
    table, lengths = weights(len(KOKORO_SYMBOLS), WIDTH), random.uniform(2, 9, len(KOKORO_SYMBOLS)).astype(np.float32)
    sound, tint = weights(WIDTH, hop), weights(STYLE, WIDTH) / 16
    nodes = [
        helper.make_node("Squeeze", ["input_ids", "axis0v"], ["ids"]),
        helper.make_node("Gather", ["lengths", "ids"], ["wanted"]),
        helper.make_node("Div", ["wanted", "speed"], ["paced"]),
        helper.make_node("Ceil", ["paced"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["durations"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["plain"]),
        helper.make_node("MatMul", ["style", "tint"], ["shade"]),
        helper.make_node("Add", ["plain", "shade"], ["vectors"]),
    ]
    expand(nodes, "durations", "vectors")
    nodes += [
        helper.make_node("MatMul", ["frames", "sound"], ["rows"]),
        helper.make_node("Tanh", ["rows"], ["loud"]),
        helper.make_node("Reshape", ["loud", "flat"], ["waveform"]),
    ]
    path = OUT / "kokoro/onnx/model.onnx"
    save(
        path,
        nodes,
        [
            value("input_ids", TensorProto.INT64, [1, "sequence_length"]),
            value("style", TensorProto.FLOAT, [1, STYLE]),
            value("speed", TensorProto.FLOAT, [1]),
        ],
        [value("waveform", TensorProto.FLOAT, [1, "num_samples"])],
        [
            tensor("axis0v", np.array([0], np.int64)),
            tensor("lengths", lengths),
            tensor("table", table),
            tensor("sound", sound),
            tensor("tint", tint),
            tensor("flat", np.array([1, -1], np.int64)),
        ],
    )
    vocabulary = {symbol: i for i, symbol in enumerate(KOKORO_SYMBOLS)}
    write_json(
        OUT / "kokoro/tokenizer.json",
        {"version": "1.0", "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "$"}},
    )
    cases = []
    for text, ipa, speed in [
        ("hello world.", "həlˈO wˈɜɹld.", 1),
        ("the record is about to record photography.", "ðə ɹˈɛkəɹd ɪz əbˈWt tə ɹəkˈɔɹd fətˈɑɡɹəfi.", 1.5),
        ("a multitude of musical movements.", "ə mˈʌltətˌud ʌv mjˈuzɪkᵊl mˈuvmᵊnts.", 1),
    ]:
        inner = [vocabulary[symbol] for symbol in ipa]
        ids = [0, *inner, 0]
        style = style_row(len(inner) - 1)
        durations = np.ceil(lengths[ids] / np.float32(speed)).astype(int)
        vectors = table[ids].astype(np.float64) + style @ tint.astype(np.float64)
        samples = np.tanh(np.repeat(vectors, durations, axis=0) @ sound.astype(np.float64)).reshape(-1)
        feeds = {
            "input_ids": np.array([ids], np.int64),
            "style": style.astype(np.float32)[None],
            "speed": np.array([speed], np.float32),
        }
        np.testing.assert_allclose(run(path, feeds)[0], samples, atol=1e-5)
        cases.append({"text": text, "ipa": ipa, "speed": speed, "length": len(samples), "samples": thinned(samples)})
    return cases


def make_piper(name, speakers):
    hop = 256
    table, lengths = weights(len(PIPER_SYMBOLS), WIDTH), random.uniform(1, 5, len(PIPER_SYMBOLS)).astype(np.float32)
    sound, noise, voices = weights(WIDTH, hop) / 2, weights(1, hop), weights(speakers, WIDTH)
    nodes = [
        helper.make_node("Reshape", ["input", "flat"], ["all"]),
        helper.make_node("Slice", ["all", "start", "input_lengths"], ["ids"]),
        helper.make_node("Split", ["scales", "thirds"], ["noise_scale", "length_scale", "noise_w"], axis=0),
        helper.make_node("Gather", ["lengths", "ids"], ["wanted"]),
        helper.make_node("Add", ["wanted", "noise_w"], ["uneven"]),
        helper.make_node("Mul", ["uneven", "length_scale"], ["paced"]),
        helper.make_node("Ceil", ["paced"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["durations"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["plain"]),
    ]
    if speakers > 1:
        nodes += [
            helper.make_node("Gather", ["voices", "sid"], ["voice"]),
            helper.make_node("Add", ["plain", "voice"], ["vectors"]),
        ]
    else:
        nodes.append(helper.make_node("Add", ["plain", "voices"], ["vectors"]))
    expand(nodes, "durations", "vectors")
    nodes += [
        helper.make_node("MatMul", ["frames", "sound"], ["rows"]),
        helper.make_node("Mul", ["noise", "noise_scale"], ["hiss"]),
        helper.make_node("Add", ["rows", "hiss"], ["hissing"]),
        helper.make_node("Tanh", ["hissing"], ["loud"]),
        helper.make_node("Reshape", ["loud", "flat4"], ["output"]),
    ]
    path = OUT / f"piper/{name}.onnx"
    inputs = [
        value("input", TensorProto.INT64, ["batch_size", "phonemes"]),
        value("input_lengths", TensorProto.INT64, ["batch_size"]),
        value("scales", TensorProto.FLOAT, [3]),
    ]
    if speakers > 1:
        inputs.append(value("sid", TensorProto.INT64, [1]))
    save(
        path,
        nodes,
        inputs,
        [value("output", TensorProto.FLOAT, ["batch_size", 1, 1, "time"])],
        [
            tensor("flat", np.array([-1], np.int64)),
            tensor("start", np.array([0], np.int64)),
            tensor("thirds", np.array([1, 1, 1], np.int64)),
            tensor("lengths", lengths),
            tensor("table", table),
            tensor("sound", sound),
            tensor("noise", noise),
            tensor("voices", voices),
            tensor("flat4", np.array([1, 1, 1, -1], np.int64)),
        ],
    )
    ids_of = {symbol: [i] for i, symbol in enumerate(PIPER_SYMBOLS)}
    scales = {"noise_scale": 0.667, "length_scale": 1.1, "noise_w": 0.8}
    write_json(
        OUT / f"piper/{name}.onnx.json",
        {
            "audio": {"sample_rate": 22050, "quality": "medium"},
            "espeak": {"voice": "en-us"},
            "language": {"code": "en_US", "family": "en", "region": "US"},
            "inference": scales,
            "phoneme_type": "espeak",
            "phoneme_map": {},
            "phoneme_id_map": ids_of,
            "num_symbols": len(PIPER_SYMBOLS),
            "num_speakers": speakers,
            "speaker_id_map": {f"p{100 + i}": i for i in range(speakers)} if speakers > 1 else {},
            "piper_version": "1.0.0",
        },
    )
    cases = []
    for text, ipa, speed, speaker in [
        ("hello world.", "həlˈoʊ wˈɜːld.", 1, 0),
        ("water, better party!", "wˈɔːɾɚ, bˈɛɾɚ pˈɑːɹɾi!", 0.5, speakers - 1),
    ]:
        kept = [symbol for symbol in ipa if symbol in ids_of]
        ids = [PIPER_SYMBOLS.index(symbol) for symbol in ["^", "_", *"_".join(kept), "_", "$"]]
        scale = np.array([scales["noise_scale"], scales["length_scale"] / speed, scales["noise_w"]], np.float32)
        durations = np.ceil((lengths[ids] + scale[2]) * scale[1]).astype(int)
        vectors = table[ids].astype(np.float64) + voices[speaker].astype(np.float64)
        rows = np.repeat(vectors, durations, axis=0) @ sound.astype(np.float64) + noise.astype(np.float64) * scale[0]
        samples = np.tanh(rows).reshape(-1)
        feeds = {
            "input": np.array([ids], np.int64),
            "input_lengths": np.array([len(ids)], np.int64),
            "scales": scale,
            **({"sid": np.array([speaker], np.int64)} if speakers > 1 else {}),
        }
        np.testing.assert_allclose(run(path, feeds)[0, 0, 0], samples, atol=1e-5)
        cases.append(
            {
                "text": text,
                "ipa": ipa,
                "dropped": len(ipa) - len(kept),
                "speed": speed,
                "speaker": speaker,
                "length": len(samples),
                "samples": thinned(samples),
            }
        )
    return cases


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


reference = {
    "every": EVERY,
    "kokoro": make_kokoro(),
    "piper": make_piper("tiny", 1),
    "piper_speakers": make_piper("tiny-speakers", SPEAKERS),
}
write_json(OUT / "reference.json", reference)
