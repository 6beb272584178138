"""Writes two Keras models with random weights to a folder. Runs in the TensorFlow environment, which has no torch."""

from __future__ import annotations

import sys
from pathlib import Path

import keras
from keras import layers


def cnn() -> keras.Model:
    """Convolutions with normalisation and pooling, 64 × 64 images in Keras's own layout (channels last)."""
    model = [keras.Input((64, 64, 3), name="image")]
    for width in (32, 64, 128, 256):
        model += [layers.Conv2D(width, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
        model += [layers.Conv2D(width, 3, padding="same", activation="relu"), layers.MaxPooling2D()]
    return keras.Sequential([*model, layers.GlobalAveragePooling2D(), layers.Dense(100)])


def lstm() -> keras.Model:
    """Two bidirectional LSTM layers over tokens, as many as there are, a score for each."""
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32", name="tokens"),
            layers.Embedding(8000, 128),
            layers.Bidirectional(layers.LSTM(256, return_sequences=True)),
            layers.Bidirectional(layers.LSTM(256, return_sequences=True)),
            layers.Dense(17),
        ]
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    cnn().save(folder / "keras_cnn.keras")
    lstm().save(folder / "keras_lstm.keras")
