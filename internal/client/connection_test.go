// SPDX-License-Identifier: Apache-2.0

package client

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firn.dev/firn/internal/errs"
)

const (
	connections = `
[dan]
account = "firn"
host = "127.0.0.1"
port = 8085
protocol = "http"
user = "dan"
password = "sesame"
role = "R"
[cloud]
account = "xy12345"
user = "dan"
password = "sesame"
[token]
host = "firn.example"
user = "bot"
authenticator = "programmatic_access_token"
token_file_path = "TOKENFILE"
[key]
host = "firn.example"
user = "bot"
authenticator = "SNOWFLAKE_JWT"
[bare]
host = "::1"
port = "1"
`
	inConfig = `
default_connection_name = "ann"
[connections.ann]
host = "h"
user = "ann"
password = "other"
[cli.logs]
save_logs = false
`
)

func TestConnection(t *testing.T) {
	t.Parallel()
	dan := Config{URL: "http://127.0.0.1:8085", Account: "firn", User: "dan", Password: "sesame", Role: "R"}
	ann := Config{URL: "https://h", Account: "firn", User: "ann", Password: "other"}
	for name, x := range map[string]struct {
		connections, config string
		mode                os.FileMode
		place               string // of the files, below the home
		env                 map[string]string
		ask                 string
		want                Config
		code                errs.Code
		says                string
	}{
		"connections.toml":          {connections: connections, ask: "dan", want: dan},
		"config.toml":               {config: inConfig, ask: "ann", want: ann},
		"connections.toml wins":     {connections: connections, config: inConfig, ask: "ann", code: errs.NotFound, says: "bare, cloud, dan, key, token"},
		"user's configurations":     {connections: connections, place: "config/snowflake", ask: "dan", want: dan},
		"SNOWFLAKE_HOME":            {connections: connections, place: "x", env: map[string]string{"SNOWFLAKE_HOME": "~/x"}, ask: "dan", want: dan},
		"none":                      {ask: "dan", code: errs.NotFound, says: "there is no connections.toml"},
		"token in a file":           {connections: connections, ask: "token", want: Config{URL: "https://firn.example", Account: "firn", User: "bot", Authenticator: "PROGRAMMATIC_ACCESS_TOKEN", Token: "tok"}},
		"Snowflake's":               {connections: connections, ask: "cloud", code: errs.Invalid, says: "has no host"},
		"key pair":                  {connections: connections, ask: "key", code: errs.Unsupported, says: "SNOWFLAKE_JWT"},
		"no password":               {connections: connections, ask: "bare", code: errs.Invalid, says: "no user or no password"},
		"filled in by variables":    {connections: connections, ask: "bare", env: map[string]string{"SNOWFLAKE_USER": "u", "SNOWFLAKE_PASSWORD": "p", "SNOWFLAKE_PORT": "2"}, want: Config{URL: "https://[::1]:1", Account: "firn", User: "u", Password: "p"}},
		"overridden by a variable":  {connections: connections, ask: "dan", env: map[string]string{"SNOWFLAKE_CONNECTIONS_DAN_ROLE": "S", "SNOWFLAKE_ROLE": "T"}, want: Config{URL: dan.URL, Account: "firn", User: "dan", Password: "sesame", Role: "S"}},
		"others may read":           {connections: connections, mode: 0o640, ask: "dan", code: errs.Denied, says: "may be read by others: chmod 0600"},
		"others may read, let pass": {connections: connections, mode: 0o640, ask: "dan", env: map[string]string{"SF_SKIP_TOKEN_FILE_PERMISSIONS_VERIFICATION": "TRUE"}, want: dan},
		"others may write":          {connections: connections, mode: 0o620, ask: "dan", env: map[string]string{"SF_SKIP_TOKEN_FILE_PERMISSIONS_VERIFICATION": "1"}, code: errs.Denied, says: "may be changed"},
		"no TOML":                   {connections: "[dan]\npassword = sesame\n", ask: "dan", code: errs.Invalid, says: "at line 2"},
		"no table":                  {connections: "dan = \"sesame\"\n", ask: "dan", code: errs.NotFound, says: "is not in"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			home := t.TempDir()
			place := x.place
			if place == "" {
				place = ".snowflake"
			}
			dir := filepath.Join(home, place)
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			token := filepath.Join(home, "token")
			for file, text := range map[string]string{token: "tok\n", filepath.Join(dir, "connections.toml"): x.connections, filepath.Join(dir, "config.toml"): x.config} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(file, []byte(strings.ReplaceAll(text, "TOKENFILE", token)), 0o600); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(file, max(x.mode, 0o600)); err != nil {
					t.Fatal(err)
				}
			}
			got, err := Connection(x.ask, Surroundings{Getenv: func(key string) string { return x.env[key] }, Home: home, Config: filepath.Join(home, "config")})
			if x.code == "" {
				if d := cmp.Diff(x.want, got); err != nil || d != "" {
					t.Errorf("%v\n%s", err, d)
				}
				return
			}
			if !errs.Is(err, x.code) || !strings.Contains(err.Error(), x.says) {
				t.Errorf("got %v, want %s with %q", err, x.code, x.says)
			}
			if err != nil && strings.Contains(err.Error(), "sesame") {
				t.Errorf("the password is told: %v", err)
			}
		})
	}
}
