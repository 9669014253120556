// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"firn.dev/firn/internal/errs"
)

// booth is a throttle with a clock that stands still.
type booth struct {
	*throttle
	t  *testing.T
	at time.Time
}

func newBooth(t *testing.T) *booth {
	b := &booth{t: t, at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	b.throttle = newThrottle(func() time.Time { return b.at })
	return b
}

// try makes one attempt, waiting as long as it must, and gives the wait.
func (b *booth) try(address, user string, right bool) time.Duration {
	b.t.Helper()
	wait, err := b.begin(address, user)
	if err != nil {
		b.t.Fatal(err)
	}
	b.at = b.at.Add(wait)
	b.end(address, user, right, nil)
	return wait
}

// TestWaits: some wrong passwords are free, then each makes the next attempt wait longer; a right one ends that.
func TestWaits(t *testing.T) {
	t.Parallel()
	b := newBooth(t)
	for i := range freePair + 8 {
		want := time.Duration(0)
		if i >= freePair {
			want = min(firstWait<<(i-freePair), longPair)
		}
		if wait := b.try("192.0.2.1", "ANN", false); wait != want {
			t.Errorf("attempt %d waits %v, want %v", i, wait, want)
		}
	}
	if wait := b.try("192.0.2.1", "ANN", true); wait != longPair {
		t.Errorf("the right password waits %v", wait)
	}
	if wait := b.try("192.0.2.1", "ANN", false); wait != 0 {
		t.Errorf("a wrong password after a right one waits %v", wait)
	}
}

// TestOthersDoNotWait: guessing for hours at one address slows nobody down at another, nor other users at the same one for
// long, and not at all who was right there before.
func TestOthersDoNotWait(t *testing.T) {
	t.Parallel()
	b := newBooth(t)
	b.try("192.0.2.1", "OWN", true)
	for range 200 {
		b.try("192.0.2.1", "ANN", false)
	}
	for _, who := range []struct {
		address, user string
		most          time.Duration
	}{
		{"192.0.2.2", "ANN", 0}, {"2001:db8::1", "ANN", 0}, {"192.0.2.1", "OWN", 0}, {"192.0.2.1", "NEW", longFrom}, {"192.0.2.1", "ANN", longPair},
	} {
		if wait := b.try(who.address, who.user, true); wait > who.most {
			t.Errorf("%s at %s waits %v, at most %v is right", who.user, who.address, wait, who.most)
		}
	}
}

// TestManyUsers: guessing one password for many users is slowed down by the address.
func TestManyUsers(t *testing.T) {
	t.Parallel()
	b := newBooth(t)
	began := b.at
	for i := range 1000 {
		b.try(fmt.Sprintf("2001:db8::%x", i+1), fmt.Sprintf("U%d", i), false) // one client has many such addresses
	}
	if took := b.at.Sub(began); took < 15*time.Minute {
		t.Errorf("1000 guesses took %v", took)
	}
}

// TestParallel: attempts at the same moment wait one behind the other, and too many are refused without being looked at.
func TestParallel(t *testing.T) {
	t.Parallel()
	b := newBooth(t)
	for range freePair + 3 {
		b.try("192.0.2.1", "ANN", false)
	}
	looked, refused := 0, 0
	for range 100 {
		_, err := b.begin("192.0.2.1", "ANN")
		switch {
		case err == nil:
			looked++
		case errors.Is(err, errBusy) || errs.Is(err, errs.Exhausted):
			refused++
		default:
			t.Fatal(err)
		}
	}
	if looked > atOnce || looked == 0 || looked+refused != 100 {
		t.Errorf("%d attempts were looked at, %d refused", looked, refused)
	}
	for range looked {
		b.end("192.0.2.1", "ANN", false, nil)
	}
	b.at = b.at.Add(longPair)
	if _, err := b.begin("192.0.2.1", "ANN"); err != nil {
		t.Errorf("after the wait: %v", err)
	}
	b.at = b.at.Add(forgiven + time.Minute)
	if wait := b.try("192.0.2.1", "ANN", false); wait != 0 {
		t.Errorf("an attempt after a long time waits %v", wait)
	}
}

// TestMemory: however many names are guessed, few are remembered, and what is in use is not forgotten.
func TestMemory(t *testing.T) {
	t.Parallel()
	b := newBooth(t)
	for i := range 5 * remembered {
		b.end(fmt.Sprintf("192.%d.%d.%d", i>>16, i>>8&255, i&255), "ANN", false, nil)
		if i%1000 == 0 {
			b.end("198.51.100.1", "ANN", false, nil)
		}
	}
	if n := len(b.pairs.young) + len(b.pairs.old); n > 2*remembered {
		t.Errorf("%d entries are kept", n)
	}
	if wait, _ := b.begin("198.51.100.1", "ANN"); wait == 0 {
		t.Error("who guesses all the time was forgotten")
	}
}
