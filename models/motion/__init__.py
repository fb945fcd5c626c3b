# SPDX-License-Identifier: Apache-2.0
"""Block motion: estimation (encoder only), syntax (integers only) and compensation (integer taps)."""
