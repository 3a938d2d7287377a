"""What a finished network says about images: of any kind and number, prepared as its training images were."""

from convscope.predict.doubts import inverted
from convscope.predict.predictor import Prediction, Predictor
from convscope.predict.splits import splits_of

__all__ = ["Prediction", "Predictor", "inverted", "splits_of"]
