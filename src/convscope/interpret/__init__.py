"""Why a finished network answers as it does: activations, attribution maps, patches, embeddings, what a channel is for."""
