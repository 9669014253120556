// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// wire is a session that repeats requests as real clients do after a lost answer, which package client does not.
type wire struct {
	url   string
	token string
	http  *http.Client
}

// reply is what a statement gave.
type reply struct {
	QueryID string `json:"queryId"`
	RowType []struct {
		Name string `json:"name"`
	} `json:"rowtype"`
	Rowset    [][]*string `json:"rowset"`
	StageInfo struct {
		PresignedURL string `json:"presignedUrl"`
	} `json:"stageInfo"`
	PresignedURLs []string `json:"presignedUrls"`
	SrcLocations  []string `json:"src_locations"`
	Token         string   `json:"token"`
	GetResultURL  string   `json:"getResultUrl"`
}

// refusal is an answer of the server that says no.
type refusal struct{ code, text string }

func (r *refusal) Error() string { return r.code + " " + r.text }

// lost tells whether no answer came, so that nobody knows what happened.
func lost(err error) bool {
	_, refused := errors.AsType[*refusal](err)
	return err != nil && !refused
}

func login(ctx context.Context, url, user, password string) (*wire, error) {
	w := &wire{url: url, http: &http.Client{Timeout: patience, Transport: &http.Transport{MaxIdleConnsPerHost: 16}}}
	r, err := w.call(ctx, http.MethodPost, "/session/v1/login-request", map[string]any{
		"data": map[string]any{"ACCOUNT_NAME": "FIRN", "LOGIN_NAME": user, "PASSWORD": password},
	})
	if err != nil {
		return nil, err
	}
	w.token = r.Token
	return w, nil
}

// query runs a statement under a request id until it has ended.
func (w *wire) query(ctx context.Context, request, text string) (*reply, error) {
	r, err := w.call(ctx, http.MethodPost, "/queries/v1/query-request?requestId="+request, map[string]any{"sqlText": text})
	for err == nil && r.GetResultURL != "" {
		r, err = w.call(ctx, http.MethodGet, r.GetResultURL, nil)
	}
	return r, err
}

func (w *wire) call(ctx context.Context, method, path string, body any) (*reply, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if w.token != "" {
		req.Header.Set("Authorization", `Snowflake Token="`+w.token+`"`)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct {
		Data    reply
		Code    string
		Message string
		Success bool
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return nil, fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	if !answer.Success {
		return &answer.Data, &refusal{answer.Code, answer.Message}
	}
	return &answer.Data, nil
}

// rows gives a result as maps by lower-case column name.
func (r *reply) rows() []map[string]string {
	var out []map[string]string
	for _, row := range r.Rowset {
		cells := map[string]string{}
		for i, c := range row {
			if c != nil {
				cells[strings.ToLower(r.RowType[i].Name)] = *c
			}
		}
		out = append(out, cells)
	}
	return out
}

// put uploads a file as connectors do.
func (w *wire) put(ctx context.Context, request, stage, name string, body io.Reader, size int64) error {
	r, err := w.query(ctx, request, "PUT 'file:///x/"+name+"' "+stage+" OVERWRITE = TRUE AUTO_COMPRESS = FALSE")
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, r.StageInfo.PresignedURL, body)
	if err != nil {
		return err
	}
	req.ContentLength = size
	return w.transfer(req, io.Discard)
}

// get downloads a file as connectors do.
func (w *wire) get(ctx context.Context, request, file string, to io.Writer) error {
	r, err := w.query(ctx, request, "GET "+file+" 'file:///x/'")
	if err != nil {
		return err
	}
	if len(r.PresignedURLs) != 1 {
		return &refusal{"", fmt.Sprintf("%s is %d files", file, len(r.PresignedURLs))}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.PresignedURLs[0], nil)
	if err != nil {
		return err
	}
	return w.transfer(req, to)
}

func (w *wire) transfer(req *http.Request, to io.Writer) error {
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000)) // for the message only
		return &refusal{resp.Status, string(text)}
	}
	_, err = io.Copy(to, resp.Body)
	return err
}

// retry does something until it is not lost, as long as the server may still be starting.
func retry(ctx context.Context, do func() error) error {
	for end := time.Now().Add(patience); ; {
		err := do()
		if !lost(err) || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}
