// SPDX-License-Identifier: Apache-2.0

package main

import "math/rand/v2"

// text makes bytes that compress to about two fifths: words of a small vocabulary, and now and then noise.
type text struct {
	random     *rand.Rand
	vocabulary [4096][]byte
}

func newText(seed uint64) *text {
	t := &text{random: rand.New(rand.NewPCG(seed, 1))}
	for i := range t.vocabulary {
		t.vocabulary[i] = make([]byte, 3+t.random.IntN(12))
		for j := range t.vocabulary[i] {
			t.vocabulary[i][j] = byte(t.random.Uint32())
		}
	}
	return t
}

func (t *text) fill(body []byte) {
	for len(body) > 0 {
		n := min(len(body), 4096)
		block := body[:n]
		body = body[n:]
		if t.random.IntN(8) == 0 {
			for i := range block {
				block[i] = byte(t.random.Uint32())
			}
			continue
		}
		for len(block) > 0 {
			bits := t.random.Uint64()
			word := t.vocabulary[(bits&4095)*(bits>>12&4095)>>12]
			block = block[copy(block, word):]
		}
	}
}
