# SPDX-License-Identifier: Apache-2.0
"""Implicit representations: a small network is fitted to a group of frames, and its weights are the stream.

    recipe ──budget──► shape ──build──► Representation ──fit──► coding ──► one unit of bytes for each group of pictures
                                        source(t) ► decoder ► frames

A `Representation` lists every tensor that travels; the rate term of the loss and the bytes come from that same list.
"""
