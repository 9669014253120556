// SPDX-License-Identifier: Apache-2.0

package layer

import "io"

// ahead fills buffers in a goroutine of its own while its reader works on the one before.
type ahead struct {
	blocks chan block
	free   chan []byte
	stop   chan struct{}
	whole  []byte // the block that was given last
	cur    []byte // what Read has left of it
	err    error
}

type block struct {
	data []byte
	err  error
}

const (
	blockSize  = 256 << 10
	blockCount = 4
)

// readAhead calls fill until it gives an error, then end. Close must be called.
func readAhead(fill func(buffer []byte) (int, error), end func()) *ahead {
	a := &ahead{blocks: make(chan block, blockCount), free: make(chan []byte, blockCount), stop: make(chan struct{})}
	for range blockCount {
		a.free <- make([]byte, blockSize)
	}
	go func() {
		defer close(a.blocks)
		defer end()
		a.run(fill)
	}()
	return a
}

func (a *ahead) run(fill func(buffer []byte) (int, error)) {
	for {
		var buffer []byte
		select {
		case <-a.stop:
			return
		case buffer = <-a.free:
		}
		n, err := fill(buffer)
		select {
		case <-a.stop:
			return
		case a.blocks <- block{data: buffer[:n], err: err}:
		}
		if err != nil {
			return
		}
	}
}

// next gives another block, which is good until the next call. The last one comes with an error.
func (a *ahead) next() ([]byte, error) {
	if a.whole != nil {
		a.free <- a.whole
	}
	b, ok := <-a.blocks
	if !ok {
		b.err = io.ErrUnexpectedEOF
	}
	a.whole = b.data[:cap(b.data)]
	return b.data, b.err
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.cur) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		a.cur, a.err = a.next()
	}
	n := copy(p, a.cur)
	a.cur = a.cur[n:]
	return n, nil
}

// Close ends the goroutine.
func (a *ahead) Close() {
	close(a.stop)
	for range a.blocks {
	}
}

// fill reads until the buffer is full. Unlike io.ReadFull it keeps io.EOF and a decoder's io.ErrUnexpectedEOF apart.
func fill(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var more int
		more, err = r.Read(buffer[n:])
		n += more
	}
	return n, err
}
