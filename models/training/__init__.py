# SPDX-License-Identifier: Apache-2.0
"""Training of the conditional codec; imports neither CompressAI nor PyAV."""
