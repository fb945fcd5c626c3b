# SPDX-License-Identifier: Apache-2.0
"""The flagship: the conditional codec with filters that are fitted to the video and travel with it."""
