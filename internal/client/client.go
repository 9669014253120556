// SPDX-License-Identifier: Apache-2.0

// Package client speaks the Snowflake client protocol to a server: what the command line and the benchmarks need of it, which
// is logging in and running statements. It knows nothing of the server's insides.
//
// The protocol is the one that package sfwire serves; its sources are named there.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/version"
)

// Config says where to connect and as whom.
type Config struct {
	URL      string // http://127.0.0.1:8085
	Account  string
	User     string
	Password errs.Secret
	// Authenticator is how to log in: "" with Password, PROGRAMMATIC_ACCESS_TOKEN or OAUTH with Token.
	Authenticator string
	Token         errs.Secret
	Role          string
	Database      string
	Schema        string
}

// Client is one session. It is safe for concurrent use.
type Client struct {
	base  string
	http  *http.Client
	token errs.Secret
}

// Result is what a statement gave.
type Result struct {
	QueryID string
	Columns []string
	Rows    [][]*string
}

// answer is the envelope of every answer, with the fields of data that the client reads.
type answer struct {
	Data struct {
		Token        errs.Secret `json:"token"`
		QueryID      string      `json:"queryId"`
		GetResultURL string      `json:"getResultUrl"`
		RowType      []struct {
			Name string `json:"name"`
		} `json:"rowtype"`
		Rowset [][]*string `json:"rowset"`
		Chunks []struct {
			URL string `json:"url"`
		} `json:"chunks"`
		SQLState string `json:"sqlState"`
	} `json:"data"`
	Code    *string `json:"code"`
	Message *string `json:"message"`
	Success bool    `json:"success"`
}

// Connect logs in with a password or a token.
//
// Errors: Unauthenticated; Unavailable when the server does not answer.
func Connect(ctx context.Context, c Config) (*Client, error) {
	client := &Client{base: c.URL, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}}
	query := url.Values{"databaseName": {c.Database}, "schemaName": {c.Schema}, "roleName": {c.Role}, "request_id": {uuid.NewString()}}
	data := map[string]any{
		"ACCOUNT_NAME": c.Account, "LOGIN_NAME": c.User, "PASSWORD": c.Password.Reveal(),
		"CLIENT_APP_ID": "Firn", "CLIENT_APP_VERSION": version.Version,
	}
	if c.Authenticator != "" {
		data["AUTHENTICATOR"], data["TOKEN"] = c.Authenticator, c.Token.Reveal()
	}
	a, err := client.call(ctx, http.MethodPost, "/session/v1/login-request?"+query.Encode(), map[string]any{"data": data})
	if err != nil {
		return nil, err
	}
	client.token = a.Data.Token
	return client, nil
}

// Query runs one statement with text values for its placeholders and waits for its end.
//
// Errors: those of the statement, with their Snowflake number; Unavailable.
func (c *Client) Query(ctx context.Context, text string, binds ...string) (*Result, error) {
	bindings := map[string]any{}
	for i, value := range binds {
		bindings[strconv.Itoa(i+1)] = map[string]string{"type": "TEXT", "value": value}
	}
	a, err := c.call(ctx, http.MethodPost, "/queries/v1/query-request?requestId="+uuid.NewString(),
		map[string]any{"sqlText": text, "asyncExec": false, "bindings": bindings})
	for err == nil && a.Code != nil && (*a.Code == "333333" || *a.Code == "333334") {
		a, err = c.call(ctx, http.MethodGet, a.Data.GetResultURL, nil)
	}
	if err != nil {
		return nil, err
	}
	r := &Result{QueryID: a.Data.QueryID, Rows: a.Data.Rowset}
	for _, chunk := range a.Data.Chunks {
		rows, err := c.chunk(ctx, chunk.URL)
		if err != nil {
			return nil, err
		}
		r.Rows = append(r.Rows, rows...)
	}
	for _, column := range a.Data.RowType {
		r.Columns = append(r.Columns, column.Name)
	}
	return r, nil
}

// chunk reads one more piece of a large result: rows as JSON, without the brackets around them.
func (c *Client) chunk(ctx context.Context, url string) ([][]*string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "piece of the result")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "piece of the result")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	var rows [][]*string
	if err == nil {
		err = json.Unmarshal(append(append([]byte("["), body...), ']'), &rows)
	}
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "piece of the result")
	}
	return rows, nil
}

// Close ends the session.
func (c *Client) Close(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodPost, "/session?delete=true", map[string]any{})
	c.http.CloseIdleConnections()
	return err
}

func (c *Client) call(ctx context.Context, method, path string, body any) (*answer, error) {
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, errs.Wrap(err, errs.Internal, "request")
		}
		payload = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, payload)
	if err != nil {
		return nil, errs.Wrap(err, errs.Invalid, "server address %s", c.base)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	if c.token != "" {
		req.Header.Set("Authorization", `Snowflake Token="`+c.token.Reveal()+`"`)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "the server at %s does not answer", c.base)
	}
	defer resp.Body.Close()
	var a answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return nil, errs.Wrap(err, errs.Unavailable, "what answers at %s is no Firn server (HTTP %d)", c.base, resp.StatusCode)
	}
	if !a.Success {
		return nil, failure(&a)
	}
	return &a, nil
}

// failure turns an answer back into the error that it tells of.
func failure(a *answer) error {
	text, number := "the server gave no reason", 0
	if a.Message != nil {
		text = *a.Message
	}
	if a.Code != nil {
		number, _ = strconv.Atoi(*a.Code) // what is no number stays 0
	}
	code := errs.Refused
	switch {
	case number == 2003 || number == 2043:
		code = errs.NotFound
	case number == 2002:
		code = errs.Exists
	case number == 3001:
		code = errs.Denied
	case number/1000 == 390:
		code = errs.Unauthenticated
	}
	return errs.New(code, "%s", text).Numbered(number, a.Data.SQLState)
}
