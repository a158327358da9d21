"""The days before the demo's first start, so that its charts have curves and a comparison."""
