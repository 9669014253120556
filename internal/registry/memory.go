// SPDX-License-Identifier: Apache-2.0

package registry

import (
	"sync"
	"time"
)

const (
	// memoryTTL bounds for how long an answer is remembered.
	memoryTTL = time.Second
	// maxRemembered bounds how many answers are remembered of a kind.
	maxRemembered = 4096
)

// memory has the answers to questions that were asked at one version of something. It is safe for concurrent use.
type memory[Q comparable, A any] struct {
	mu      sync.Mutex
	version int64
	known   map[Q]remembered[A]
}

type remembered[A any] struct {
	answer A
	until  time.Time
}

func (m *memory[Q, A]) get(version int64, now time.Time, q Q) (answer A, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version != version {
		return answer, false
	}
	found, ok := m.known[q]
	return found.answer, ok && now.Before(found.until)
}

func (m *memory[Q, A]) put(version int64, now time.Time, q Q, answer A) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.version != version || m.known == nil || len(m.known) >= maxRemembered {
		m.version, m.known = version, map[Q]remembered[A]{}
	}
	m.known[q] = remembered[A]{answer, now.Add(memoryTTL)}
}
