"""Backbones, pooling, descriptor network, margin heads, gradient reversal and checkpoint folders."""
