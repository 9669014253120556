// SPDX-License-Identifier: Apache-2.0

package sfwire

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"firn.dev/firn/internal/errs"
)

func TestQueryAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	d := h.must(token, "SELECT 1.50 AS a, 'x' AS b, NULL AS c, TO_BINARY('FF', 'HEX') AS d, '12:00:00'::TIME AS e")
	for name, want := range map[string]any{
		"total": 1.0, "returned": 1.0, "queryResultFormat": "json", "statementTypeId": 4096.0, "numberOfBinds": 0.0, "arrayBindSupported": false,
		"version": 1.0, "finalDatabaseName": nil, "finalRoleName": "ACCOUNTADMIN",
	} {
		if got, there := d[name]; !there || got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if _, err := uuid.Parse(d["queryId"].(string)); err != nil {
		t.Errorf("queryId: %v", err)
	}
	for _, each := range d["rowtype"].([]any) {
		for _, key := range []string{"name", "type", "length", "byteLength", "precision", "scale", "nullable", "database", "schema", "table", "collation"} {
			if _, ok := each.(object)[key]; !ok {
				t.Errorf("a column without %s: %v", key, each)
			}
		}
	}
	if got := fmt.Sprint(d["rowset"]); got != "[[1.50 x <nil> FF 43200.000000000]]" {
		t.Errorf("rowset %s", got)
	}
	empty := h.must(token, "SELECT column1 FROM VALUES (1) WHERE column1 > 5")
	if rows, ok := empty["rowset"].([]any); !ok || len(rows) != 0 {
		t.Errorf("no rows are %v, not a list", empty["rowset"])
	}
}

func TestErrorAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	a := h.query(token, "SELECT * FROM no_such")
	if a.Success || a.code() != "002003" || a.Data["sqlState"] != "42S02" || a.Data["errorCode"] != "002003" || !strings.Contains(*a.Message, "NO_SUCH") {
		t.Fatalf("%+v", a)
	}
	id := a.Data["queryId"].(string)
	again := h.call("GET", "/queries/"+id+"/result", token, nil)
	if again.code() != "002003" || *again.Message != *a.Message {
		t.Errorf("asked again: %+v", again)
	}
	monitored := h.call("GET", "/monitoring/queries//"+id, token, nil).Data["queries"].([]any)[0].(object)
	if monitored["status"] != "FAILED_WITH_ERROR" || monitored["state"] != "FAILED" || monitored["errorCode"] != "2003" || monitored["id"] != id {
		t.Errorf("monitored: %v", monitored)
	}
	if unknown := h.call("GET", "/monitoring/queries/01b2c3d4-0000-0000-0000-000000000001", token, nil); len(unknown.Data["queries"].([]any)) != 0 {
		t.Errorf("an unknown one: %v", unknown)
	}
	if unknown := h.call("GET", "/queries/01b2c3d4-0000-0000-0000-000000000001/result", token, nil); unknown.code() != "000709" || unknown.Data == nil {
		t.Errorf("an unknown one: %+v", unknown)
	}
}

// TestNumbers looks at the one table of numbers.
func TestNumbers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	r := &http.Request{}
	for _, test := range []struct {
		err         error
		code, state string
	}{
		{errs.New(errs.Invalid, "x"), "001008", "22023"}, {errs.New(errs.Syntax, "x"), "001003", "42000"}, {errs.New(errs.NotFound, "x"), "002003", "02000"},
		{errs.New(errs.Exists, "x"), "002002", "42710"}, {errs.New(errs.Denied, "x"), "003001", "42501"},
		{errs.New(errs.Unauthenticated, "x"), "390104", "08001"}, {errs.New(errs.Canceled, "x"), "000604", "57014"},
		{errs.New(errs.Unsupported, "x"), "000002", "0A000"}, {errs.New(errs.NotFound, "x").Numbered(709, "02000"), "000709", "02000"},
		{&failedStatement{"id", errs.New(errs.Exists, "x")}, "002002", "42710"}, {errs.New(errs.Internal, "x"), "000603", "XX000"},
		{errors.New("secret of the disk"), "000603", "XX000"},
	} {
		r.URL = mustURL(t, "/x")
		env := h.door.failure(r, test.err)
		if *env.Code != test.code || env.Data.(object)["sqlState"] != test.state || env.Success {
			t.Errorf("%v: %s %v", test.err, *env.Code, env.Data)
		}
		if strings.Contains(*env.Message, "disk") {
			t.Errorf("the client reads %q", *env.Message)
		}
	}
	if !strings.Contains(h.log.String(), "secret of the disk") {
		t.Error("the log has no reason")
	}
}

func TestLongStatements(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.Hold = 50 * time.Millisecond })
	token, _ := h.login()
	a := h.query(token, "SELECT 'done', SYSTEM$WAIT(600, 'MILLISECONDS')")
	next, _ := a.Data["getResultUrl"].(string)
	if !a.Success || a.code() != "333333" || !strings.HasPrefix(next, "/queries/"+a.Data["queryId"].(string)+"/") || !strings.HasSuffix(next, "/result") {
		t.Fatalf("%+v", a)
	}
	asked := 0
	for a.code() == "333333" {
		if asked++; asked > 100 {
			t.Fatal("it never ends")
		}
		a = h.call("GET", next, token, nil)
	}
	if !a.Success || cell(a.Data) != "done" || asked < 2 {
		t.Errorf("after %d times: %+v", asked, a)
	}
}

func TestAsynchronousStatements(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.Hold = 50 * time.Millisecond })
	token, _ := h.login()
	a := h.queryWith(token, object{"sqlText": "SELECT SYSTEM$WAIT(400, 'MILLISECONDS'), 7", "asyncExec": true})
	if !a.Success || a.code() != "333334" {
		t.Fatalf("%+v", a)
	}
	id := a.Data["queryId"].(string)
	if q := h.call("GET", "/monitoring/queries/"+id, token, nil).Data["queries"].([]any); len(q) != 1 || q[0].(object)["status"] != "RUNNING" {
		t.Errorf("monitored: %v", q)
	}
	if a = h.call("GET", "/queries/"+id+"/result", token, nil); a.code() != "333334" {
		t.Errorf("while it runs: %s", a.code())
	}
	for deadline := time.Now().Add(20 * time.Second); a.code() == "333334" && time.Now().Before(deadline); {
		a = h.call("GET", a.Data["getResultUrl"].(string), token, nil)
	}
	if !a.Success || a.code() != "" || a.Data["queryId"] != id {
		t.Errorf("%+v", a)
	}
	other, _ := h.login()
	if a := h.call("GET", "/queries/"+id+"/result", other, nil); !a.Success {
		t.Errorf("another session of the user: %s", a.code())
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(o *Options) { o.Hold = 20 * time.Millisecond })
	token, _ := h.login()
	request := uuid.NewString()
	running := h.call("POST", "/queries/v1/query-request?requestId="+request, token, object{"sqlText": "SELECT SYSTEM$WAIT(60)"})
	if a := h.call("POST", "/queries/v1/abort-request?requestId="+uuid.NewString(), token, object{"requestId": request}); !a.Success {
		t.Errorf("by request: %s", a.code())
	}
	if a := h.settled(token, running); a.code() != "000604" || !strings.Contains(*a.Message, "SQL execution canceled") {
		t.Errorf("cancelled: %+v", a)
	}
	running = h.query(token, "SELECT SYSTEM$WAIT(60)")
	if a := h.call("POST", "/queries/"+running.Data["queryId"].(string)+"/abort-request", token, object{}); !a.Success {
		t.Errorf("by query: %s", a.code())
	}
	if a := h.settled(token, running); a.code() != "000604" {
		t.Errorf("cancelled: %+v", a)
	}
	if a := h.call("POST", "/queries/v1/abort-request", token, object{"requestId": uuid.NewString()}); a.Success || a.code() != "000605" {
		t.Errorf("nothing to cancel: %s", a.code())
	}
}

// settled asks until a statement runs no more.
func (h *house) settled(token string, a reply) reply {
	h.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); a.code() == "333333" || a.code() == "333334"; {
		if time.Now().After(deadline) {
			h.t.Fatal("it runs on")
		}
		a = h.call("GET", a.Data["getResultUrl"].(string), token, nil)
	}
	return a
}

func TestARepeatedRequestRunsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	path := "/queries/v1/query-request?requestId=" + uuid.NewString()
	first := h.call("POST", path, token, object{"sqlText": "CREATE DATABASE once"})
	again := h.call("POST", path+"&retryCount=1", token, object{"sqlText": "CREATE DATABASE once"})
	if !first.Success || !again.Success || first.Data["queryId"] != again.Data["queryId"] {
		t.Errorf("first %+v\nagain %+v", first, again)
	}
	other, _ := h.login()
	if a := h.call("POST", path, other, object{"sqlText": "CREATE DATABASE once"}); a.code() != "002002" {
		t.Errorf("in another session: %s", a.code())
	}
}

func TestSeveralStatements(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	a := h.queryWith(token, object{"sqlText": "SELECT 1; SELECT 2", "parameters": object{"MULTI_STATEMENT_COUNT": 2}})
	if !a.Success || a.Data["statementTypeId"] != 40960.0 || a.Data["resultTypes"] != "4096,4096" {
		t.Fatalf("%+v", a)
	}
	for i, id := range strings.Split(a.Data["resultIds"].(string), ",") {
		if got := cell(h.call("GET", "/queries/"+id+"/result", token, nil).Data); got != fmt.Sprint(i+1) {
			t.Errorf("result %d is %v", i, got)
		}
	}
}

func TestBinds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	a := h.queryWith(token, object{"sqlText": "SELECT ?, ?", "bindings": object{
		"1": object{"type": "FIXED", "value": "5"}, "2": object{"type": "ANY", "value": nil},
	}})
	if !a.Success || fmt.Sprint(a.Data["rowset"]) != "[[5 <nil>]]" || a.Data["numberOfBinds"] != 2.0 {
		t.Errorf("%+v", a)
	}
	if a := h.queryWith(token, object{"sqlText": "SELECT ?", "bindStage": "@SYSTEM$BIND/x"}); a.Success || a.code() != "000002" {
		t.Errorf("a stage of values: %+v", a)
	}
}

func TestDescribeOnly(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	a := h.queryWith(token, object{"sqlText": "CREATE DATABASE never", "describeOnly": true})
	if rows, ok := a.Data["rowset"].([]any); !a.Success || !ok || len(rows) != 0 || len(a.Data["rowtype"].([]any)) != 1 {
		t.Errorf("%+v", a)
	}
	if rows := h.must(token, "SHOW DATABASES LIKE 'never'")["rowset"].([]any); len(rows) != 0 {
		t.Error("it was run")
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	for _, text := range []string{"SELECT 1", "USE ROLE SYSADMIN", "SELECT 1/0", "SELECT 3"} {
		h.query(token, text)
		h.pass(time.Second)
	}
	texts := func(query string) string {
		var out []string
		for _, q := range h.call("GET", "/monitoring/queries?"+query, token, nil).Data["queries"].([]any) {
			out = append(out, q.(object)["sqlText"].(string))
		}
		return strings.Join(out, "|")
	}
	for query, want := range map[string]string{
		"":                                  "SELECT 3|SELECT 1/0|USE ROLE SYSADMIN|SELECT 1",
		"max=1":                             "SELECT 3",
		"subset=FAILED":                     "SELECT 1/0",
		"subset=SUCCEEDED&includeDDL=false": "SELECT 3|SELECT 1",
		"user=NOBODY":                       "",
		"session_id=1":                      "",
		"end=1000":                          "",
		"min_duration=60000":                "",
		"max=nonsense":                      "SELECT 3|SELECT 1/0|USE ROLE SYSADMIN|SELECT 1",
	} {
		if got := texts(query); got != want {
			t.Errorf("?%s: %s, want %s", query, got, want)
		}
	}
}

func TestLargeAnswersAreCompressed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, _ := h.login()
	text, _ := json.Marshal(object{"sqlText": "SELECT RPAD('', 10000, 'x')"})
	for _, encoding := range []string{"gzip, deflate", "identity"} {
		resp, body := h.raw("POST", "/queries/v1/query-request", text, "Authorization", `Snowflake Token="`+token+`"`, "Accept-Encoding", encoding)
		if compressed := resp.Header.Get("Content-Encoding") == "gzip"; compressed != strings.HasPrefix(encoding, "gzip") || compressed != (len(body) < 10000) {
			t.Errorf("%s: %s, %d bytes", encoding, resp.Header.Get("Content-Encoding"), len(body))
		}
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token, master := h.login()
	h.tryLogin(object{"LOGIN_NAME": "ADMIN", "PASSWORD": "wrong-but-secret"})
	h.tryLogin(object{"AUTHENTICATOR": "SNOWFLAKE_JWT", "TOKEN": "jwt.but.secret"})
	h.query(token, "CREATE USER u PASSWORD = 'hidden-in-sql'")
	h.query(token, "CREATE USER u PASWORD = 'misspelt-in-sql'")
	h.query(token, "SELECT 1/0, 'hidden-in-sql'")
	a := h.must(token, "PUT file:///x/a.txt @~")
	link := a["stageInfo"].(object)["presignedUrl"].(string)
	h.raw("PUT", link, []byte("content-secret"))
	h.raw("PUT", link+"x", []byte("content-secret"))
	log := h.log.String()
	for _, secret := range []string{token, master, adminPassword.Reveal(), "wrong-but-secret", "jwt.but.secret", "hidden-in-sql", "misspelt-in-sql", "content-secret", link} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}
