"""The page of ``danet demo`` as a Space of the Hugging Face Hub, whose port everyone reaches."""

from danet.demo import launch

launch(host="0.0.0.0", port=7860)
