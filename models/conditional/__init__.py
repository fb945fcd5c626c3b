# SPDX-License-Identifier: Apache-2.0
"""The conditional codec: motion compensation, block transform and learned entropy model, all in exact arithmetic."""
