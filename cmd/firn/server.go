// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"firn.dev/firn/internal/client"
	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/imagecheck"
	"firn.dev/firn/internal/version"
)

// serverFlags ask a server what it judges images by.
type serverFlags struct {
	url        string
	connection string
	offline    bool
}

// asked tells whether a server is to be asked at all.
func (f *serverFlags) asked() bool { return f.url != "" || f.connection != "" }

// askMost is how long the server may take to answer.
const askMost = 20 * time.Second

func (f *serverFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "server", "", "URL of a server to judge like: by its account's policy and its approved bases")
	flags.StringVarP(&f.connection, "connection", "c", "", "connection of the snow command that names the server and the login, instead of --server")
	flags.BoolVar(&f.offline, "offline", false, "do not ask the server, take what it said last")
}

// said is what a server answered, as it is kept for later.
type said struct {
	URL     string           `json:"url"`
	Fetched time.Time        `json:"fetched"`
	Terms   imagecheck.Terms `json:"terms"`
}

// judging is what images are judged by.
type judging struct {
	policy imagecheck.Policy
	bases  []imagecheck.Base
}

// terms asks the server, or takes what it said last when it cannot be reached. It says on stderr which, and of what age.
func (f *serverFlags) terms(ctx context.Context, now time.Time, stderr io.Writer) (judging, error) {
	login, err := f.login()
	if err != nil {
		return judging{}, err
	}
	u, err := url.Parse(strings.TrimRight(login.URL, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return judging{}, usageError("server %q is no URL such as http://127.0.0.1:8085", login.URL)
	}
	login.URL = u.String()
	file := saidFile(u.String())
	answer, how := said{URL: u.String(), Fetched: now}, "now"
	unreachable := error(nil)
	if !f.offline {
		answer.Terms, err = ask(ctx, login)
		if err != nil && (!errs.Is(err, errs.Unavailable) || ctx.Err() != nil) {
			return judging{}, &exitError{code: exitInternal, err: err}
		}
		unreachable = err
	}
	if f.offline || unreachable != nil {
		if answer, err = recall(file); err != nil {
			return judging{}, &exitError{code: exitInternal, err: nothingKnown(u.String(), err, unreachable)}
		}
		how = ageText(now.Sub(answer.Fetched)) + " ago"
	} else if err := answer.keep(file); err != nil {
		fmt.Fprintf(stderr, "firn: what the server says cannot be kept for --offline: %v\n", err)
	}
	policy, bases, same, err := answer.Terms.Read()
	if err != nil {
		return judging{}, &exitError{code: exitInternal, err: err}
	}
	if unreachable != nil {
		fmt.Fprintf(stderr, "firn: %s\n", errs.MessageOf(unreachable))
	}
	fmt.Fprintf(stderr, "firn: judging by what %s said %s: policy %s (sha256 %.12s), %d approved bases\n", u, how, policy.Name, policy.Sum(), len(bases))
	if !same {
		fmt.Fprintf(stderr, "firn: the server is Firn %s and this is %s: they read policy %s differently, so their answers may differ\n",
			answer.Terms.Version, version.Version, policy.Name)
	}
	return judging{policy, bases}, nil
}

func nothingKnown(server string, err, unreachable error) error {
	if unreachable != nil {
		return errs.New(errs.Unavailable, "%s, and nothing that it said before is kept", errs.MessageOf(unreachable))
	}
	if errors.Is(err, os.ErrNotExist) {
		return errs.New(errs.NotFound, "nothing is kept of what %s said: run once without --offline", server)
	}
	return errs.Wrap(err, errs.Unavailable, "what %s said last cannot be read: run once without --offline", server)
}

// login gives the server and how to log in there: as the connection says, else as the environment does.
func (f *serverFlags) login() (client.Config, error) {
	if f.connection == "" {
		return client.Config{
			URL: f.url, Account: cmp.Or(os.Getenv("SNOWFLAKE_ACCOUNT"), "firn"), User: os.Getenv("SNOWFLAKE_USER"),
			Password: errs.Secret(os.Getenv("SNOWFLAKE_PASSWORD")), Role: os.Getenv("SNOWFLAKE_ROLE"),
		}, nil
	}
	home, _ := os.UserHomeDir() // without one, only SNOWFLAKE_HOME counts
	config, _ := os.UserConfigDir()
	login, err := client.Connection(f.connection, client.Surroundings{Getenv: os.Getenv, Home: home, Config: config})
	if err != nil {
		return login, &exitError{code: exitUsage, err: err}
	}
	return login, nil
}

// ask logs in and reads the server's terms.
//
// Errors: Unavailable when the server cannot be reached; Unauthenticated; Unsupported.
func ask(ctx context.Context, login client.Config) (imagecheck.Terms, error) {
	var t imagecheck.Terms
	server := login.URL
	if login.Authenticator == "" && (login.User == "" || login.Password == "") {
		return t, errs.New(errs.Unauthenticated, "to log in at %s, set SNOWFLAKE_USER and SNOWFLAKE_PASSWORD; with --offline what it said last is taken", server)
	}
	ctx, cancel := context.WithTimeout(ctx, askMost)
	defer cancel()
	c, err := client.Connect(ctx, login)
	if err != nil {
		return t, err
	}
	defer c.Close(ctx) //nolint:errcheck // the server ends what nobody uses
	r, err := c.Query(ctx, "SELECT SYSTEM$GET_RUNTIME_ENVIRONMENT_POLICY()")
	if err != nil {
		return t, errs.Wrap(err, errs.CodeOf(err), "what %s judges by", server)
	}
	if len(r.Rows) != 1 || len(r.Rows[0]) != 1 || r.Rows[0][0] == nil {
		return t, errs.New(errs.Unsupported, "%s does not say what it judges by", server)
	}
	if err := json.Unmarshal([]byte(*r.Rows[0][0]), &t); err != nil {
		return t, errs.Wrap(err, errs.Unsupported, "what %s judges by", server)
	}
	return t, nil
}

// saidFile is where an answer is kept: beside the layers that were read.
func saidFile(server string) string {
	sum := sha256.Sum256([]byte(server))
	return filepath.Join(cacheDir(), "servers", hex.EncodeToString(sum[:8])+".json")
}

func recall(file string) (said, error) {
	var s said
	body, err := os.ReadFile(file) //nolint:gosec // in the user's own cache
	if err == nil {
		err = json.Unmarshal(body, &s)
	}
	return s, err
}

// keep writes aside and renames, so that no reader ever sees half a file.
func (s said) keep(file string) error {
	body, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".said.*")
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
	}
	return err
}

// ageText says how long something is ago.
func ageText(age time.Duration) string {
	switch {
	case age < time.Minute:
		return "less than a minute"
	case age < 48*time.Hour:
		return strings.TrimSuffix(age.Truncate(time.Minute).String(), "0s")
	}
	return fmt.Sprintf("%d days", int(age.Hours()/24))
}
