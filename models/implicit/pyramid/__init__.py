# SPDX-License-Identifier: Apache-2.0
"""The flagship: a pyramid of frames in time, block motion, latents and a network fitted to each video."""
