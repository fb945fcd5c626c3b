# SPDX-License-Identifier: Apache-2.0
"""The rate-distortion lab: real files, fresh decoders, anchors, and results that can be drawn again from JSON."""
