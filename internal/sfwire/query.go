// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/catalog"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/sql/executor"
	"firn.dev/firn/internal/sql/rowset"
)

// queryRequest is the body of a statement.
// snowflake-connector-python connection.py cmd_query; gosnowflake query.go execRequest.
type queryRequest struct {
	SQLText      string                 `json:"sqlText"`
	AsyncExec    bool                   `json:"asyncExec"`
	DescribeOnly bool                   `json:"describeOnly"`
	Parameters   map[string]any         `json:"parameters"`
	Bindings     map[string]bindingJSON `json:"bindings"`
	BindStage    string                 `json:"bindStage"`
}

// bindingJSON is one bound value, or a list of them for an array bind.
type bindingJSON struct {
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

func (b bindingJSON) bind() (rowset.Bind, error) {
	out := rowset.Bind{Type: strings.ToUpper(b.Type)}
	if bytes.HasPrefix(b.Value, []byte("[")) {
		out.Array = true
		return out, json.Unmarshal(b.Value, &out.Values)
	}
	var value *string
	if len(b.Value) > 0 {
		if err := json.Unmarshal(b.Value, &value); err != nil {
			return out, err
		}
	}
	out.Values = []*string{value}
	return out, nil
}

// The answers while a statement runs. A client asks again at getResultUrl: at once for a synchronous statement, after pauses of
// its own for an asynchronous one.
const (
	codeRunning = "333333"
	codeAsync   = "333334"
)

func (d *Door) query(r *http.Request) (answer, error) {
	s, err := d.Sessions.Find(r.Context(), sessionToken(r))
	if err != nil {
		return answer{}, err
	}
	var body queryRequest
	if err := read(r, maxBody, &body); err != nil {
		return answer{}, err
	}
	if body.BindStage != "" {
		return answer{}, errs.New(errs.Unsupported, "bound values in a stage are not supported: send them with the statement")
	}
	req := executor.Request{
		Text: body.SQLText, RequestID: r.URL.Query().Get("requestId"), QueryID: uuid.NewString(),
		Parameters: textParameters(body.Parameters), DescribeOnly: body.DescribeOnly, Async: body.AsyncExec,
		Binds: make(map[string]rowset.Bind, len(body.Bindings)),
	}
	for name, b := range body.Bindings {
		if req.Binds[strings.ToUpper(name)], err = b.bind(); err != nil {
			return answer{}, errs.Wrap(err, errs.Invalid, "bound value %s is neither a text, null, nor a list of them", name)
		}
	}
	f := wanted(r, s, req.Parameters)
	run := d.Executor.Start(r.Context(), s, req)
	if run.Async() {
		return running(run, f), nil
	}
	return d.await(r, s, run, f)
}

// await answers with the result of a statement, or that it still runs when that takes long.
func (d *Door) await(r *http.Request, s *catalog.Session, run *executor.Run, f format) (answer, error) {
	ctx, cancel := context.WithTimeout(r.Context(), d.Hold)
	defer cancel()
	res, err := run.Wait(ctx)
	if err != nil && errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return running(run, f), nil
	}
	if err != nil {
		return answer{}, &failedStatement{run.ID, err}
	}
	return d.finished(r, s, res, f)
}

// running tells where to ask again. The address keeps the format that the statement asked for, as the next request does not say it.
func running(run *executor.Run, f format) answer {
	code, text := codeRunning, "Query execution in progress."
	if run.Async() {
		code, text = codeAsync, "Asynchronous execution in progress. Use provided query id to perform query monitoring and management."
	}
	return answer{code: code, text: text, data: map[string]any{
		"queryId": run.ID, "getResultUrl": "/queries/" + run.ID + "/" + string(f) + "/result", "queryAbortsAfterSecs": 300, "progressDesc": nil,
	}}
}

// result answers GET /queries/<id>/result, and /queries/<id>/<format>/result: as the statement itself would have been answered.
func (d *Door) result(r *http.Request) (answer, error) {
	s, err := d.Sessions.Find(r.Context(), sessionToken(r))
	if err != nil {
		return answer{}, err
	}
	id, f := r.PathValue("id"), format(r.PathValue("format"))
	if f != formatArrow && f != formatJSON {
		f = wanted(r, s, nil)
	}
	res, run, err := d.Executor.ResultOf(r.Context(), s, id)
	if err != nil {
		return answer{}, &failedStatement{id, err}
	}
	if run != nil {
		return d.await(r, s, run, f)
	}
	return d.finished(r, s, res, f)
}

// abortRequest stops the statement of a request id.
func (d *Door) abortRequest(r *http.Request) (answer, error) {
	s, err := d.Sessions.Find(r.Context(), sessionToken(r))
	if err != nil {
		return answer{}, err
	}
	var body struct {
		RequestID string `json:"requestId"`
	}
	if err := read(r, maxBody, &body); err != nil {
		return answer{}, err
	}
	return answer{}, d.Executor.Cancel(r.Context(), s, body.RequestID)
}

// abortQuery stops a statement by its id.
func (d *Door) abortQuery(r *http.Request) (answer, error) {
	s, err := d.Sessions.Find(r.Context(), sessionToken(r))
	if err != nil {
		return answer{}, err
	}
	return answer{}, d.Executor.Cancel(r.Context(), s, r.PathValue("id"))
}

// millis is a time as the protocol's monitoring writes it, 0 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
