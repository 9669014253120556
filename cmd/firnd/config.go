// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v4"

	"firn.dev/firn/internal/errs"
	"firn.dev/firn/internal/registry/upstream"
)

// setting is one thing that can be configured: by flag, by environment, by file, in that order.
type setting struct {
	key      string // of the flag and the file: "data-dir"; the environment has FIRND_DATA_DIR
	fallback string
	help     string
}

// settings is everything that can be configured.
var settings = []setting{
	{"data-dir", "firn-data", "directory of database, blobs and the admin's first password"},
	{"listen", "127.0.0.1:8085", "address that clients reach"},
	{"database", "", "sqlite:FILE or postgres://...; default sqlite:DATA/firn.db"},
	{"blobs", "", "dir:DIRECTORY or s3://BUCKET[/PREFIX][?endpoint=URL&region=REGION]; default dir:DATA/blobs"},
	{"redirect-pulls", "false", "send pulls of image layers to S3 by signed URLs (307): whoever pulls must reach the bucket"},
	{"upstreams", "", "registries, HOST[:PORT] separated by commas, from which image repositories may fetch images; none: nothing is fetched"},
	{"compute", "docker", "what runs containers: docker or none"},
	{"public-url", "", "URL under which clients reach this server, when a proxy stands before it"},
	{"account", "FIRN", "account name"},
	{"tls-cert", "", "certificate file; with it the server speaks HTTPS"},
	{"tls-key", "", "key file of the certificate"},
	{"insecure-http", "false", "serve plain HTTP on an address beyond this machine"},
	{"trusted-proxies", "", "addresses or networks, separated by commas, whose X-Forwarded-For tells where clients are"},
	{"vulnerability-db", "", "file of firn db import; new runtime environments are looked up in it. A new file is read without a restart"},
	{"gc-interval", "1h", "how often garbage is collected: images and layers that nothing names; 0 for never"},
	{"gc-grace", "24h", "how long nothing must have named it: longer than any push takes"},
	{"log-format", "text", "text or json"},
	{"log-level", "info", "debug, info, warn or error"},
}

const (
	envPrefix = "FIRND_"
	// passwordEnv sets the first password of ADMIN. It has no flag: other users read command lines.
	passwordEnv = envPrefix + "ADMIN_PASSWORD"
	configEnv   = envPrefix + "CONFIG"
)

// config is the resolved configuration.
type config struct {
	DataDir, Listen, Database, Blobs, Compute, PublicURL, Account string
	TLSCert, TLSKey                                               string
	InsecureHTTP, RedirectPulls                                   bool
	TrustedProxies                                                []netip.Prefix
	Upstreams                                                     []string
	VulnerabilityDB                                               string
	GCInterval, GCGrace                                           time.Duration
	LogFormat, LogLevel                                           string
	AdminPassword                                                 errs.Secret
}

// addFlags gives a command a flag for every setting.
func addFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "YAML file with the same names (environment: "+configEnv+")")
	for _, s := range settings {
		help := fmt.Sprintf("%s (environment: %s)", s.help, envName(s.key))
		if s.fallback == "false" {
			flags.Bool(s.key, false, help)
		} else {
			flags.String(s.key, s.fallback, help)
		}
	}
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, "-", "_"))
}

// loadConfig resolves the settings: flag, then environment, then file, then default.
func loadConfig(flags *pflag.FlagSet, environ func() []string) (config, error) {
	k := koanf.New("\x00") // no key has a parent
	defaults := map[string]any{}
	for _, s := range settings {
		defaults[s.key] = s.fallback
	}
	vars := map[string]string{}
	for _, entry := range environ() {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, envPrefix) {
			vars[name] = value
		}
	}
	path, _ := flags.GetString("config")
	if path == "" {
		path = vars[configEnv]
	}
	if err := k.Load(confmap.Provider(defaults, ""), nil); err != nil {
		return config{}, err
	}
	if path != "" {
		if err := loadFile(k, path); err != nil {
			return config{}, &usageError{err}
		}
	}
	for name := range vars {
		if name != passwordEnv && name != configEnv && !known(func(s setting) bool { return envName(s.key) == name }) {
			return config{}, &usageError{unknown("environment variable", name, envName)}
		}
	}
	env := env.Provider("\x00", env.Opt{Prefix: envPrefix, EnvironFunc: environ, TransformFunc: func(name, value string) (string, any) {
		if name == passwordEnv || name == configEnv {
			return "", nil
		}
		return strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, envPrefix), "_", "-")), value
	}})
	if err := k.Load(env, nil); err != nil {
		return config{}, err
	}
	if err := k.Load(posflag.Provider(flags, "\x00", k), nil); err != nil {
		return config{}, err
	}
	var err error
	c := config{
		DataDir: k.String("data-dir"), Listen: k.String("listen"), Database: k.String("database"), Blobs: k.String("blobs"),
		Compute: k.String("compute"), PublicURL: strings.TrimRight(k.String("public-url"), "/"),
		Account: strings.ToUpper(k.String("account")), TLSCert: k.String("tls-cert"), TLSKey: k.String("tls-key"),
		InsecureHTTP: k.Bool("insecure-http"), RedirectPulls: k.Bool("redirect-pulls"), VulnerabilityDB: k.String("vulnerability-db"), LogFormat: k.String("log-format"), LogLevel: k.String("log-level"),
		AdminPassword: errs.Secret(vars[passwordEnv]),
	}
	if c.TrustedProxies, err = parseProxies(k.String("trusted-proxies")); err != nil {
		return config{}, &usageError{err}
	}
	if c.Upstreams, err = upstream.ParseHosts(k.String("upstreams")); err != nil {
		return config{}, &usageError{err}
	}
	if err := c.readTimes(k.String); err != nil {
		return config{}, &usageError{err}
	}
	return c, c.complete()
}

// readTimes reads the settings that are times.
func (c *config) readTimes(setting func(key string) string) error {
	for _, s := range []struct {
		key   string
		into  *time.Duration
		least time.Duration
	}{{"gc-interval", &c.GCInterval, 0}, {"gc-grace", &c.GCGrace, time.Second}} {
		var err error
		if *s.into, err = time.ParseDuration(setting(s.key)); err != nil || *s.into < s.least {
			return fmt.Errorf("%s '%s' is no time of at least %s: write 90m or 24h", s.key, setting(s.key), s.least)
		}
	}
	return nil
}

func loadFile(k *koanf.Koanf, path string) error {
	if err := k.Load(file.Provider(path), yamlParser{}); err != nil {
		return fmt.Errorf("configuration %s: %w", path, err)
	}
	for _, key := range k.Keys() {
		if !known(func(s setting) bool { return s.key == key }) {
			return fmt.Errorf("configuration %s: %w", path, unknown("key", key, func(key string) string { return key }))
		}
	}
	return nil
}

func known(match func(setting) bool) bool { return slices.ContainsFunc(settings, match) }

// unknown names the nearest setting in the form of the place where the name stood.
func unknown(what, name string, form func(string) string) error {
	forms := make([]string, len(settings))
	for i, s := range settings {
		forms[i] = form(s.key)
	}
	if near := errs.Nearest(name, forms); near != "" {
		return fmt.Errorf("unknown %s '%s': did you mean '%s'?", what, name, near)
	}
	return fmt.Errorf("unknown %s '%s': firnd serve --help lists all", what, name)
}

// complete fills what depends on other settings, and refuses what cannot work.
func (c *config) complete() error {
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return err
	}
	c.DataDir = dir
	if c.Database == "" {
		c.Database = "sqlite:" + filepath.Join(dir, "firn.db")
	}
	if c.Blobs == "" {
		c.Blobs = dirScheme + filepath.Join(dir, "blobs")
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return &usageError{fmt.Errorf("listen '%s' is no HOST:PORT", c.Listen)}
	}
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		err = errors.New("tls-cert and tls-key belong together: set both or none")
	case !loopback && c.TLSCert == "" && !c.InsecureHTTP:
		err = fmt.Errorf("listen '%s' is reachable from other machines: set tls-cert and tls-key, or insecure-http behind a proxy that speaks TLS", c.Listen)
	case c.Compute != "docker" && c.Compute != "none":
		err = fmt.Errorf("compute '%s' is not available: docker or none", c.Compute)
	case c.LogFormat != "text" && c.LogFormat != "json":
		err = fmt.Errorf("log-format '%s' is not available: text or json", c.LogFormat)
	}
	if err == nil {
		err = c.checkBlobs()
	}
	if err != nil {
		return &usageError{err}
	}
	return nil
}

// yamlParser reads a flat YAML file strictly: one document, no duplicate keys.
type yamlParser struct{}

func (yamlParser) Unmarshal(b []byte) (map[string]any, error) {
	out := map[string]any{}
	if err := yaml.Unmarshal(b, &out); err != nil {
		return nil, err
	}
	for key, value := range out {
		switch value.(type) {
		case string, bool, int:
		default:
			return nil, fmt.Errorf("'%s' must be a text, a number or true or false", key)
		}
	}
	return out, nil
}

func (yamlParser) Marshal(m map[string]any) ([]byte, error) { return yaml.Marshal(m) }
