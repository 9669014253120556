// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"firn.dev/firn/internal/errs"
)

// Surroundings are where the Snowflake clients look for their files.
type Surroundings struct {
	Getenv func(string) string
	Home   string // of the user
	Config string // directory for configurations of programs, such as ~/.config
}

// Connection reads a connection that the Snowflake clients have under a name: from connections.toml, else from [connections.NAME] in
// config.toml, both in SNOWFLAKE_HOME or ~/.snowflake, else in the directory snowflake of the user's configurations. As in snow, variables
// SNOWFLAKE_CONNECTIONS_NAME_KEY override what the files say, and variables SNOWFLAKE_KEY fill in what they leave out.
//
// Errors: NotFound for a name that is in no file; Denied for a file that others may write to or read; Invalid for a file that is no TOML or a
// connection that lacks something; Unsupported for a login that needs more than a password or a token. No message has a value of a file.
func Connection(name string, s Surroundings) (Config, error) {
	dir := s.directory()
	var config struct {
		Connections map[string]any `toml:"connections"`
	}
	inConfig, err := s.read(filepath.Join(dir, "config.toml"), &config)
	if err != nil {
		return Config{}, err
	}
	all := map[string]any{}
	own, err := s.read(filepath.Join(dir, "connections.toml"), &all)
	if err != nil {
		return Config{}, err
	}
	if !own {
		all = config.Connections
	}
	if !own && !inConfig {
		return Config{}, errs.New(errs.NotFound, "connection %q: there is no connections.toml and no config.toml in %s", name, dir)
	}
	found, ok := all[name].(map[string]any)
	if !ok {
		return Config{}, errs.New(errs.NotFound, "connection %q is not in %s, which has %s", name, dir, strings.Join(slices.Sorted(maps.Keys(all)), ", "))
	}
	return s.config(name, found)
}

// directory is where the files are.
func (s Surroundings) directory() string {
	home := cmp.Or(s.Getenv("SNOWFLAKE_HOME"), "~/.snowflake")
	if rest, ok := strings.CutPrefix(home, "~"); ok && (rest == "" || rest[0] == '/') {
		home = s.Home + rest
	}
	if _, err := os.Stat(home); err == nil {
		return home
	}
	return filepath.Join(s.Config, "snowflake")
}

// read decodes a file; false when it is not there.
func (s Surroundings) read(file string, into any) (bool, error) {
	info, err := os.Stat(file)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, errs.Wrap(err, errs.Denied, "connections")
	}
	if by := s.openTo(info.Mode().Perm()); by != "" {
		return false, errs.New(errs.Denied, "file %s has a password in it and %s by others: chmod 0600 %s", file, by, file)
	}
	body, err := os.ReadFile(file) //nolint:gosec // the user's own file
	if err != nil {
		return false, errs.Wrap(err, errs.Denied, "connections")
	}
	if _, err := toml.Decode(string(body), into); err != nil {
		where := ""
		if at, ok := errors.AsType[toml.ParseError](err); ok { // its message shows what stands there, which may be a password
			where = fmt.Sprintf(" at line %d", at.Position.Line)
		}
		return false, errs.New(errs.Invalid, "file %s is no TOML%s", file, where)
	}
	return true, nil
}

// openTo says what others may do with a file, "" for nothing. That they may read it is let pass where snow lets it pass.
func (s Surroundings) openTo(mode os.FileMode) string {
	switch {
	case mode&0o022 != 0:
		return "may be changed"
	case mode&0o044 != 0 && !s.skipsReadable():
		return "may be read"
	}
	return ""
}

func (s Surroundings) skipsReadable() bool {
	text := cmp.Or(s.Getenv("SF_SKIP_TOKEN_FILE_PERMISSIONS_VERIFICATION"), s.Getenv("SKIP_TOKEN_FILE_PERMISSIONS_VERIFICATION"))
	return slices.Contains([]string{"true", "1"}, strings.ToLower(text))
}

// config makes of the keys of a connection what Connect wants.
func (s Surroundings) config(name string, keys map[string]any) (Config, error) {
	get := func(key string) string {
		upper := strings.ToUpper(key)
		if text := s.Getenv("SNOWFLAKE_CONNECTIONS_" + strings.ToUpper(name) + "_" + upper); text != "" {
			return text
		}
		if value, ok := keys[key]; ok {
			return fmt.Sprint(value)
		}
		return s.Getenv("SNOWFLAKE_" + upper)
	}
	c := Config{
		Account: cmp.Or(get("account"), "firn"), User: get("user"), Role: get("role"),
		Password: errs.Secret(get("password")), Token: errs.Secret(get("token")), Authenticator: strings.ToUpper(get("authenticator")),
	}
	host := get("host")
	if host == "" {
		return Config{}, errs.New(errs.Invalid, "connection %q has no host: it is for Snowflake, not for a server of Firn", name)
	}
	if port := get("port"); port != "" {
		host = net.JoinHostPort(strings.Trim(host, "[]"), port)
	}
	c.URL = cmp.Or(strings.ToLower(get("protocol")), "https") + "://" + host
	if file := get("token_file_path"); c.Token == "" && file != "" {
		body, err := os.ReadFile(file) //nolint:gosec // the user names it
		if err != nil {
			return Config{}, errs.Wrap(err, errs.Invalid, "token of connection %q", name)
		}
		c.Token = errs.Secret(strings.TrimSpace(string(body)))
	}
	return c, c.complete(name)
}

// complete tells what a login lacks.
func (c Config) complete(name string) error {
	switch c.Authenticator {
	case "", "SNOWFLAKE":
		if c.User == "" || c.Password == "" {
			return errs.New(errs.Invalid, "connection %q has no user or no password", name)
		}
	case "PROGRAMMATIC_ACCESS_TOKEN":
		if c.User == "" || c.Token == "" && c.Password == "" {
			return errs.New(errs.Invalid, "connection %q has no user or no token", name)
		}
	case "OAUTH":
		if c.Token == "" {
			return errs.New(errs.Invalid, "connection %q has no token", name)
		}
	default:
		return errs.New(errs.Unsupported, "connection %q logs in with %s: firn takes a password, PROGRAMMATIC_ACCESS_TOKEN and OAUTH", name, c.Authenticator)
	}
	return nil
}
