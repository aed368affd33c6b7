"""gpurec: exact, certified top-k scoring and a real-time recommender on CPU and GPU."""

__version__ = "0.1.0"
