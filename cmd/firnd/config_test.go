// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"firn.dev/firn/internal/errs"
)

// resolve gives the configuration of a command line, an environment and a file.
func resolve(t *testing.T, args, environ []string, file string) (config, error) {
	t.Helper()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	addFlags(flags)
	if file != "" {
		path := filepath.Join(t.TempDir(), "firnd.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		environ = append(environ, "FIRND_CONFIG="+path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return loadConfig(flags, func() []string { return environ })
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	const file = "listen: 127.0.0.1:3\naccount: from-file\nlog-level: warn\ninsecure-http: true\n"
	env := []string{"FIRND_LISTEN=127.0.0.1:2", "FIRND_ACCOUNT=from-env", "PATH=/bin", "OTHER_LISTEN=x"}
	tests := []struct {
		name         string
		args         []string
		env          []string
		file         string
		listen       string
		account      string
		level        string
		insecureHTTP bool
	}{
		{"defaults", nil, nil, "", "127.0.0.1:8085", "FIRN", "info", false},
		{"file over default", nil, nil, file, "127.0.0.1:3", "FROM-FILE", "warn", true},
		{"environment over file", nil, env, file, "127.0.0.1:2", "FROM-ENV", "warn", true},
		{"flag over environment", []string{"--listen", "127.0.0.1:1"}, env, file, "127.0.0.1:1", "FROM-ENV", "warn", true},
		{"a flag that repeats the default counts", []string{"--listen", "127.0.0.1:8085", "--insecure-http=false"}, env, file, "127.0.0.1:8085", "FROM-ENV", "warn", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := resolve(t, tt.args, tt.env, tt.file)
			if err != nil {
				t.Fatal(err)
			}
			got := []any{c.Listen, c.Account, c.LogLevel, c.InsecureHTTP}
			if diff := cmp.Diff([]any{tt.listen, tt.account, tt.level, tt.insecureHTTP}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConfigFileFromFlag(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("account: mine\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := resolve(t, []string{"--config", path}, []string{"FIRND_CONFIG=/nowhere"}, "")
	if err != nil || c.Account != "MINE" {
		t.Errorf("account %q, %v", c.Account, err)
	}
}

func TestDerivedSettings(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := resolve(t, []string{"--data-dir", dir, "--public-url", "https://firn.test/"}, []string{"FIRND_ADMIN_PASSWORD=hidden"}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := config{
		DataDir: dir, Listen: "127.0.0.1:8085", Database: "sqlite:" + dir + "/firn.db", Blobs: "dir:" + dir + "/blobs", Compute: "docker",
		PublicURL: "https://firn.test", Account: "FIRN", LogFormat: "text", LogLevel: "info", AdminPassword: errs.Secret("hidden"),
		GCInterval: time.Hour, GCGrace: 24 * time.Hour,
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Error(diff)
	}
}

// The messages of wrong settings name what is wrong and what would be right.
func TestWrongSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		args []string
		env  []string
		file string
		says []string
	}{
		{"environment variable", nil, []string{"FIRND_DATABSE=x"}, "", []string{"environment variable 'FIRND_DATABSE'", "did you mean 'FIRND_DATABASE'?"}},
		{"key", nil, nil, "lisen: 127.0.0.1:1\n", []string{"unknown key 'lisen'", "did you mean 'listen'?", "firnd.yaml"}},
		{"key like none", nil, nil, "xyz: 1\n", []string{"unknown key 'xyz'", "firnd serve --help lists all"}},
		{"underscores in a key", nil, nil, "data_dir: x\n", []string{"'data_dir'", "'data-dir'"}},
		{"key twice", nil, nil, "listen: 127.0.0.1:1\nlisten: 127.0.0.1:2\n", []string{"firnd.yaml", "listen"}},
		{"nested key", nil, nil, "listen:\n  port: 1\n", []string{"'listen' must be a text, a number or true or false"}},
		{"no YAML", nil, nil, "listen: [\n", []string{"firnd.yaml"}},
		{"missing file", nil, []string{"FIRND_CONFIG=/nowhere/c.yaml"}, "", []string{"/nowhere/c.yaml", "no such file"}},
		{"listen", []string{"--listen", "8085"}, nil, "", []string{"listen '8085' is no HOST:PORT"}},
		{"plain HTTP for everybody", []string{"--listen", "0.0.0.0:8085"}, nil, "", []string{"'0.0.0.0:8085' is reachable from other machines", "tls-cert", "insecure-http"}},
		{"plain HTTP on all addresses", []string{"--listen", ":8085"}, nil, "", []string{"reachable from other machines"}},
		{"plain HTTP on a name", []string{"--listen", "firn.test:8085"}, nil, "", []string{"reachable from other machines"}},
		{"certificate without key", []string{"--tls-cert", "c.pem"}, nil, "", []string{"tls-cert and tls-key belong together"}},
		{"key without certificate", []string{"--tls-key", "c.pem"}, nil, "", []string{"tls-cert and tls-key belong together"}},
		{"compute", []string{"--compute", "podman"}, nil, "", []string{"compute 'podman' is not available: docker or none"}},
		{"blobs", []string{"--blobs", "ftp://x"}, nil, "", []string{"blobs 'ftp://x' is not available: dir:DIRECTORY"}},
		{"bucket", []string{"--blobs", "s3://Bad_Bucket"}, nil, "", []string{"'Bad_Bucket' is no name of a bucket"}},
		{"endpoint", []string{"--blobs", "s3://bucket?endpoint=host"}, nil, "", []string{"the endpoint 'host' of a bucket must look like https://HOST[:PORT]"}},
		{"redirect without a bucket", []string{"--redirect-pulls"}, nil, "", []string{"redirect-pulls needs blobs in S3"}},
		{"upstream with a path", []string{"--upstreams", "images.example.org,https://registry.test/team"}, nil, "", []string{"upstreams: 'https://registry.test/team' is no HOST[:PORT]"}},
		{"log format", []string{"--log-format", "xml"}, nil, "", []string{"log-format 'xml' is not available: text or json"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := resolve(t, tt.args, tt.env, tt.file)
			if err == nil {
				t.Fatal("accepted")
			}
			if _, ok := errors.AsType[*usageError](err); !ok {
				t.Errorf("%v is no usage error", err)
			}
			for _, text := range tt.says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%q does not say %q", err, text)
				}
			}
		})
	}
}

func TestReachableAddressesThatMayBeServed(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--listen", "localhost:1"}, {"--listen", "[::1]:1"}, {"--listen", "127.0.0.9:1"}, {"--listen", "0.0.0.0:1", "--insecure-http"},
		{"--listen", "10.0.0.1:1", "--tls-cert", "c", "--tls-key", "k"},
	} {
		if _, err := resolve(t, args, nil, ""); err != nil {
			t.Errorf("%v: %v", args, err)
		}
	}
}
