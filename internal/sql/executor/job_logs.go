// SPDX-License-Identifier: Apache-2.0

package executor

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"strconv"
	"strings"
	"time"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/rbac"
	"firn.dev/firn/internal/sql/query"
	"firn.dev/firn/internal/sql/rowset"
)

// mostLog is the most bytes of log that one statement gives, the last ones: a text cell holds no more.
const mostLog = rowset.MaxText

// serviceJob finds a service on which the role holds one of the privileges, and its job.
func (w *work) serviceJob(ctx context.Context, name catalog.Name, any ...catalog.Privilege) (*catalog.Object, *catalog.Job, error) {
	var o *catalog.Object
	var job *catalog.Job
	err := w.view(ctx, func(tx catalog.Tx, g *rbac.Guard) (err error) {
		if o, err = findService(g, name, any...); err != nil {
			return err
		}
		job, err = tx.Job(o.Spec.(*catalog.ServiceSpec).JobID)
		return err
	})
	return o, job, err
}

// serviceStatus is SYSTEM$GET_SERVICE_STATUS(service [, timeout]).
func serviceStatus(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	name, err := w.nameArg(args, 0, catalog.KindService)
	if err != nil {
		return query.Value{}, err
	}
	o, job, err := w.serviceJob(ctx, name)
	if err != nil {
		return query.Value{}, err
	}
	return query.TextValue(statusOf(job, o)), nil
}

// logRequest is what SYSTEM$GET_SERVICE_LOGS asks for.
type logRequest struct {
	instance   int
	container  string
	tail       int
	previous   bool
	since      time.Time
	timestamps bool
}

// serviceLogs is SYSTEM$GET_SERVICE_LOGS(service, instance, container [, lines [, previous [, since [, timestamps]]]]).
//
// Errors: NotFound with "Container Status: PENDING" before the container has started.
func serviceLogs(ctx context.Context, w *work, args []query.Value) (query.Value, error) {
	name, err := w.nameArg(args, 0, catalog.KindService)
	if err != nil {
		return query.Value{}, err
	}
	r, err := decodeLogRequest(args)
	if err != nil {
		return query.Value{}, err
	}
	o, job, err := w.serviceJob(ctx, name, catalog.Monitor)
	if err != nil {
		return query.Value{}, err
	}
	switch {
	case r.container != containerOf(o):
		return query.Value{}, errs.New(errs.Invalid, "Container '%s' not found in service %s: its container is '%s'", r.container, o.Name, containerOf(o)).
			Numbered(395002, "22023")
	case r.instance < 0 || r.instance >= targetInstances(job):
		return query.Value{}, errs.New(errs.Invalid, "Instance %d not found in service %s: it has %d", r.instance, o.Name, targetInstances(job)).
			Numbered(395002, "22023")
	case r.previous: // containers of jobs are never started again
		return query.TextValue(""), nil
	}
	text, err := w.logText(ctx, job, r)
	return query.TextValue(text), err
}

func decodeLogRequest(args []query.Value) (logRequest, error) {
	r := logRequest{container: args[2].Text()}
	wrong := func(i int, want string) error {
		return errs.New(errs.Invalid, "invalid argument %d '%s' of SYSTEM$GET_SERVICE_LOGS; expected %s", i+1, args[i].Text(), want).Numbered(1008, "22023")
	}
	n, ok := args[1].Int()
	if !ok || n < -1 || n > maxInstances {
		return r, wrong(1, "the number of an instance")
	}
	r.instance = int(n)
	if len(args) > 3 && !args[3].IsNull() {
		lines, ok := args[3].Int()
		if !ok || lines < 0 || lines > 1<<31 {
			return r, wrong(3, "a number of lines")
		}
		r.tail = int(lines)
	}
	if len(args) > 4 && !args[4].IsNull() {
		if r.previous, ok = args[4].Bool(); !ok {
			return r, wrong(4, "TRUE or FALSE")
		}
	}
	if len(args) > 5 && args[5].Text() != "" {
		at, err := time.Parse(time.RFC3339Nano, args[5].Text())
		if err != nil {
			if at, ok = args[5].Time(); !ok {
				return r, wrong(5, "a time such as 2026-01-02T03:04:05Z")
			}
		}
		r.since = at
	}
	if len(args) > 6 && !args[6].IsNull() {
		if r.timestamps, ok = args[6].Bool(); !ok {
			return r, wrong(6, "TRUE or FALSE")
		}
	}
	return r, nil
}

// logText reads what an instance printed, the last mostLog bytes of it, without the last line's end.
func (w *work) logText(ctx context.Context, job *catalog.Job, r logRequest) (string, error) {
	if job.State == catalog.JobPending {
		return "", errs.New(errs.NotFound, "Logs of %s are not available yet. Container Status: PENDING", jobName(job)).Numbered(395003, "22023")
	}
	log, err := w.options.Logs.Logs(ctx, job, max(r.instance, 0), r.tail, r.since, r.timestamps)
	if err != nil {
		return "", err
	}
	defer log.Close()
	text, err := readTail(log, mostLog)
	if err != nil {
		return "", errs.Wrap(err, errs.Unavailable, "the logs of %s cannot be read now", jobName(job))
	}
	return strings.TrimSuffix(strings.ToValidUTF8(string(text), "�"), "\n"), nil
}

// readTail reads all and gives the last bytes, beginning with a whole line.
func readTail(r io.Reader, most int) ([]byte, error) {
	var kept []byte
	buffer := make([]byte, 64<<10)
	cut := false
	for {
		n, err := r.Read(buffer)
		kept = append(kept, buffer[:n]...)
		if len(kept) > 2*most {
			kept, cut = append([]byte(nil), kept[len(kept)-most:]...), true
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if len(kept) > most {
		kept, cut = kept[len(kept)-most:], true
	}
	if cut {
		if at := bytes.IndexByte(kept, '\n'); at >= 0 {
			kept = kept[at+1:]
		}
	}
	return kept, nil
}

// logRelation is TABLE(service!SPCS_GET_LOGS([START_TIME => t] [, END_TIME => t])).
func logRelation() relation {
	return relation{
		columns: []rowset.Column{
			{Name: "TIMESTAMP", Type: rowset.TimestampLTZ, Scale: 9}, rowset.NumberColumn("INSTANCE_ID"), rowset.TextColumn("CONTAINER_NAME"),
			rowset.TextColumn("LOG"), {Name: "RECORD_ATTRIBUTES", Type: rowset.Object},
		},
		rows: logRows,
	}
}

func logRows(ctx context.Context, w *work, call query.TableCall) ([][]*string, error) {
	args, err := namedArguments(call, "START_TIME", "END_TIME")
	if err != nil {
		return nil, err
	}
	since, err := timeArgument(args, "START_TIME")
	if err != nil {
		return nil, err
	}
	until, err := timeArgument(args, "END_TIME")
	if err != nil {
		return nil, err
	}
	if call.Object.Resolved == (catalog.Name{}) {
		if err := w.resolve(call.Object); err != nil {
			return nil, err
		}
	}
	o, job, err := w.serviceJob(ctx, call.Object.Resolved, catalog.Monitor)
	if err != nil {
		return nil, err
	}
	container := containerOf(o)
	rows := [][]*string{}
	for i := range targetInstances(job) {
		text, err := w.logText(ctx, job, logRequest{instance: i, since: since, timestamps: true})
		if errs.Is(err, errs.NotFound) {
			continue // has not started, so it has said nothing
		}
		if err != nil {
			return nil, err
		}
		for _, line := range logLines(text) {
			if !until.IsZero() && line.at.After(until) {
				continue
			}
			rows = append(rows, []*string{
				query.TimestampValue(line.at).Cell(), numberCell(i), &container, &line.text, jsonCell(map[string]any{}),
			})
		}
	}
	return rows, nil
}

// logLine is one line and when it was printed.
type logLine struct {
	at   time.Time
	text string
}

// logLines takes apart lines that begin with a time and a blank. Times increase from line to line, so that they give the order
// back.
func logLines(text string) []logLine {
	var out []logLine
	last := time.Time{}
	scanner := bufio.NewScanner(strings.NewReader(text))
	scanner.Buffer(nil, mostLog+1)
	for scanner.Scan() {
		stamp, line, _ := strings.Cut(scanner.Text(), " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			line = scanner.Text()
		}
		if !at.After(last) {
			at = last.Add(time.Nanosecond)
		}
		last = at
		out = append(out, logLine{at, line})
	}
	return out
}

// namedArguments sorts the arguments of a table function by name; those given by place take the names in their order.
//
// Errors: Invalid for an unknown name.
func namedArguments(call query.TableCall, names ...string) (map[string]query.Value, error) {
	out := map[string]query.Value{}
	for i, a := range call.Args {
		name := a.Name
		if name == "" && i < len(names) {
			name = names[i]
		}
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			return nil, errs.New(errs.Invalid, "SQL compilation error:\ninvalid argument %s of table function %s; known are %s",
				strconv.Quote(name), call.Name, strings.Join(names, ", ")).Numbered(1015, "22023")
		}
		if !a.Value.IsNull() {
			out[name] = a.Value
		}
	}
	return out, nil
}

// timeArgument gives a time among named arguments, the zero time when it was not given.
func timeArgument(args map[string]query.Value, name string) (time.Time, error) {
	v, given := args[name]
	if !given {
		return time.Time{}, nil
	}
	at, ok := v.Time()
	if !ok {
		return at, errs.New(errs.Invalid, "SQL compilation error:\ninvalid value '%s' for %s; expected a timestamp", v.Text(), name).Numbered(1015, "22023")
	}
	return at, nil
}
