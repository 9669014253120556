// SPDX-License-Identifier: Apache-2.0

package auth

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"firn.dev/firn/internal/errs"
)

// Wrong passwords make the next attempt wait: of the same user from the same address soon, of an address with many wrong ones
// for whatever users later. Nobody is locked out by what happens at another address, and who has logged in from an address
// before does not wait for others who guess there. Attempts that would have to wait too long are refused before their
// password is looked at, so guessing in parallel gains nothing.
//
// It is in memory, and each replica has its own: a restart forgives, n replicas allow n times as much.
type throttle struct {
	now func() time.Time

	mu    sync.Mutex
	pairs generations // by user and address
	from  generations // by address
}

const (
	freePair  = 5  // wrong passwords of one user at one address before the first wait
	freeFrom  = 50 // wrong passwords at one address before the first wait
	firstWait = 250 * time.Millisecond
	longPair  = 10 * time.Second // longest wait between attempts
	longFrom  = time.Second
	// patience is for how long an attempt is kept waiting before it is refused.
	patience = 20 * time.Second
	// forgiven is after how long without a wrong password all earlier ones are forgotten.
	forgiven = 15 * time.Minute
	// trusted is for how long a login makes an address one of the user's own.
	trusted = 24 * time.Hour
	// atOnce is how many attempts of one user at one address are looked at at the same time, until one of them was right.
	atOnce = 4
	// turn is after how long an attempt looks again whether it may begin.
	turn = 25 * time.Millisecond
	// remembered bounds each generation of entries: some 100 bytes each.
	remembered = 8192
)

// guesses is what is known of an address, or a user at an address.
type guesses struct {
	wrong int       // since the last right one
	last  time.Time // of the wrong ones
	next  time.Time // earliest time at which another attempt may be looked at
	right time.Time // when the password was last right
	busy  int       // attempts that have begun and not ended
}

func newThrottle(now func() time.Time) *throttle { return &throttle{now: now} }

// begin gives how long an attempt must wait, and reserves its place.
//
// Errors: Exhausted when that is too long; errBusy when others must end first.
func (t *throttle) begin(address, user string) (time.Duration, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	pair, from := t.pairs.get(user+"\x00"+network(address)), t.from.get(network(address))
	start := now
	own := now.Sub(pair.right) < trusted && !pair.right.IsZero()
	if pair.next.After(start) {
		start = pair.next
	}
	if from.next.After(start) && !own {
		start = from.next
	}
	wait := start.Sub(now)
	if wait > patience {
		return 0, errTooMany(wait)
	}
	if pair.busy >= atOnce && !own {
		return 0, errBusy
	}
	pair.busy++
	pair.delay(now, start, freePair, longPair)
	if !own {
		from.delay(now, start, freeFrom, longFrom)
	}
	return wait, nil
}

// errBusy says that an attempt must wait for others without knowing for how long.
var errBusy = errors.New("others log in as this user at the moment")

// errTooMany is what a client reads.
func errTooMany(wait time.Duration) error {
	return errs.New(errs.Exhausted, "Too many wrong passwords: try again in %d seconds.", int(wait.Seconds())+1).Numbered(390102, "28000")
}

// delay keeps the attempts behind one that begins at the time apart.
func (g *guesses) delay(now, start time.Time, free int, longest time.Duration) {
	if now.Sub(g.last) > forgiven {
		g.wrong = 0
	}
	if g.wrong >= free {
		g.next = start.Add(min(firstWait<<min(g.wrong-free, 10), longest))
	}
}

// end notes how an attempt that began went; an error says that nobody knows.
func (t *throttle) end(address, user string, right bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	pair, from := t.pairs.get(user+"\x00"+network(address)), t.from.get(network(address))
	pair.busy = max(pair.busy-1, 0)
	if err != nil {
		return
	}
	if right {
		*pair = guesses{right: now, busy: pair.busy}
		return
	}
	for _, g := range []*guesses{pair, from} {
		g.wrong++
		g.last = now
	}
	pair.delay(now, now, freePair, longPair)
	from.delay(now, now, freeFrom, longFrom)
}

// network is what of an address one client has to itself: all of an IPv4 address, the first half of an IPv6 one.
func network(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return address
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}

// generations is a map of bounded size: when the young generation is full it becomes the old one, and what was old and not
// used meanwhile is forgotten.
type generations struct{ young, old map[string]*guesses }

// get gives the entry of a key, a new one when there is none.
func (g *generations) get(key string) *guesses {
	if e := g.young[key]; e != nil {
		return e
	}
	e := g.old[key]
	if e == nil {
		e = &guesses{}
	}
	if len(g.young) >= remembered {
		g.young, g.old = nil, g.young
	}
	if g.young == nil {
		g.young = map[string]*guesses{}
	}
	g.young[key] = e
	return e
}

// slowly runs an attempt to log in with a password when its turn has come.
func (t *throttle) slowly(ctx context.Context, address, user string, attempt func() (bool, error)) error {
	wait, err := t.begin(address, user)
	for waited := time.Duration(0); errors.Is(err, errBusy); waited += turn {
		if waited >= patience {
			return errTooMany(patience)
		}
		if err := pause(ctx, turn); err != nil {
			return err
		}
		wait, err = t.begin(address, user)
	}
	if err != nil {
		return err
	}
	right := false
	defer func() { t.end(address, user, right, err) }()
	if err = pause(ctx, wait); err == nil {
		right, err = attempt()
	}
	return err
}

// pause waits, or gives up with the context.
func pause(ctx context.Context, length time.Duration) error {
	if length == 0 {
		return nil
	}
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return errs.Wrap(context.Cause(ctx), errs.Canceled, "login was given up while it waited for its turn")
	}
}
