// SPDX-License-Identifier: Apache-2.0

package docker

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/moby/moby/client"

	"firn.dev/firn/internal/compute"
	"firn.dev/firn/internal/errs"
)

// Logs implements compute.Backend.
func (b *Backend) Logs(ctx context.Context, id compute.TaskID, o compute.LogOptions) (io.ReadCloser, error) {
	opts := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Timestamps: o.Timestamps, Follow: o.Follow}
	if o.Tail > 0 {
		opts.Tail = strconv.Itoa(o.Tail)
	}
	if !o.Since.IsZero() {
		opts.Since = fmt.Sprintf("%d.%09d", o.Since.Unix(), o.Since.Nanosecond())
	}
	raw, err := b.engine.ContainerLogs(ctx, b.name(id), opts)
	if err != nil {
		return nil, b.fail(ctx, err, errs.Unavailable, "task %s", id)
	}
	r, w := io.Pipe()
	go func() {
		err := join(w, bufio.NewReaderSize(raw, 64<<10), o.Timestamps)
		if err != nil && ctx.Err() != nil {
			err = errs.Wrap(ctx.Err(), errs.Canceled, "log of task %s: given up", id)
		}
		w.CloseWithError(err) // nil is EOF
	}()
	return &joined{PipeReader: r, raw: raw}, nil
}

// joined is the readable end of a joined log.
type joined struct {
	*io.PipeReader
	raw io.Closer
}

// Close ends both the reading and the request to the engine.
func (j *joined) Close() error {
	return errors.Join(j.raw.Close(), j.PipeReader.Close())
}

const (
	frameHeader = 8       // stream number, three zeros, length as a big-endian uint32
	stampLength = 31      // 2006-01-02T15:04:05.000000000Z and a blank
	maxLine     = 1 << 20 // longer lines are cut, so that a log without newlines needs no memory
)

// join turns the engine's two interleaved streams into one of whole lines. The engine cuts lines at 16 KiB and puts a time
// before each piece, so pieces are gathered per stream until their newline comes.
// https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerAttach
func join(w io.Writer, r io.Reader, stamped bool) error {
	var header [frameHeader]byte
	var open [3]bytes.Buffer // by stream: an unfinished line
	for {
		if _, err := io.ReadFull(r, header[:]); err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		stream := header[0]
		if int(stream) >= len(open) {
			return errs.New(errs.Corrupt, "log stream of the docker engine: unknown stream %d", stream)
		}
		line, size := &open[stream], int64(binary.BigEndian.Uint32(header[4:]))
		if stamped && line.Len() > 0 && size >= stampLength {
			if _, err := io.CopyN(io.Discard, r, stampLength); err != nil {
				return err
			}
			size -= stampLength
		}
		if _, err := io.CopyN(line, r, size); err != nil {
			return err
		}
		if line.Len() > maxLine && !bytes.HasSuffix(line.Bytes(), []byte("\n")) {
			line.WriteByte('\n')
		}
		if bytes.HasSuffix(line.Bytes(), []byte("\n")) {
			if _, err := line.WriteTo(w); err != nil {
				return err
			}
		}
	}
	for i := range open {
		if open[i].Len() == 0 {
			continue
		}
		open[i].WriteByte('\n')
		if _, err := open[i].WriteTo(w); err != nil {
			return err
		}
	}
	return nil
}
