package config

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// Load reads the EDGE_ variables of the process. Unknown EDGE_ variables
// and bad values are errors that wrap [ErrConfig], one line each.
func Load() (Config, error) {
	var cfg Config
	var errs []error
	if err := checkUnknown(os.Environ()); err != nil {
		errs = append(errs, err)
	}
	if err := process(&cfg); err != nil {
		errs = append(errs, err)
	}
	for i, key := range cfg.SignatureKeys {
		cfg.SignatureKeys[i] = strings.TrimSpace(key) // "first, second" are two secrets, and none with a blank
	}
	if err := cfg.readFiles(); err != nil {
		errs = append(errs, err)
	}
	if err := cfg.check(); err != nil {
		errs = append(errs, err)
	}
	return cfg, errors.Join(errs...)
}

// Default returns the settings of a node without any EDGE_ variable.
func Default() (Config, error) {
	var cfg Config
	err := envconfig.Process("HYDRANT_NO_SUCH_PREFIX", &cfg) // no variable has it, so all defaults apply
	return cfg, err
}

// process reads the variables. envconfig stops at the first bad one; to name
// all of them, each is put aside and the rest is read again.
func process(cfg *Config) error {
	var errs []error
	for {
		err := envconfig.Process("EDGE", cfg)
		if err == nil {
			return errors.Join(errs...)
		}
		errs = append(errs, explain(err))
		var parse *envconfig.ParseError
		if !errors.As(err, &parse) {
			return errors.Join(errs...)
		}
		value, set := os.LookupEnv(parse.KeyName)
		if !set { // the default itself
			return errors.Join(errs...)
		}
		if err := os.Unsetenv(parse.KeyName); err != nil {
			return errors.Join(append(errs, err)...)
		}
		defer os.Setenv(parse.KeyName, value)
	}
}

// explain turns envconfig's error into one line that never shows a secret.
func explain(err error) error {
	var parse *envconfig.ParseError
	if !errors.As(err, &parse) {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, v := range Variables() {
		if v.Name == parse.KeyName && v.Secret {
			return fmt.Errorf("%w: %s: not a valid %s", ErrConfig, parse.KeyName, parse.TypeName)
		}
	}
	return fmt.Errorf("%w: %s: %w", ErrConfig, parse.KeyName, notValid(parse))
}

// notValid says what a value should have looked like. The types of this
// package say it themselves.
func notValid(parse *envconfig.ParseError) error {
	want := map[string]string{
		"time.Duration": "a duration such as 500ms, 25s or 24h",
		"int":           "a whole number",
		"float64":       "a number",
		"bool":          "true or false",
	}[parse.TypeName]
	if want == "" {
		return parse.Err
	}
	return fmt.Errorf("%q is not %s", parse.Value, want)
}

// checkUnknown refuses what has the form of a setting and is none: it is misspelt.
func checkUnknown(environ []string) error {
	known := names()
	var errs []error
	for _, line := range environ {
		name, value, _ := strings.Cut(line, "=")
		if strings.HasPrefix(name, "EDGE_") && !known[name] && !serviceLink(name, value) {
			errs = append(errs, fmt.Errorf("%w: %s is not a setting; see `hydrant help config`", ErrConfig, name))
		}
	}
	return errors.Join(errs...)
}

// readFiles takes the secrets from the files that the _FILE settings name.
func (c *Config) readFiles() error {
	if c.SignatureKeysFile != "" {
		text, err := os.ReadFile(c.SignatureKeysFile)
		if err != nil {
			return fmt.Errorf("%w: EDGE_SIGNATURE_KEYS_FILE: %w", ErrConfig, err)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimRight(line, "\r\n"); line != "" {
				c.SignatureKeys = append(c.SignatureKeys, line)
			}
		}
	}
	if c.HttpKeysFile != "" {
		keys, err := readHTTPKeys(c.HttpKeysFile)
		if err != nil {
			return fmt.Errorf("%w: EDGE_HTTP_KEYS_FILE: %w", ErrConfig, err)
		}
		c.HttpKeys = keys
	}
	if c.AdminTokenFile != "" {
		text, err := os.ReadFile(c.AdminTokenFile)
		if err != nil {
			return fmt.Errorf("%w: EDGE_ADMIN_TOKEN_FILE: %w", ErrConfig, err)
		}
		if c.AdminToken = strings.TrimSpace(string(text)); c.AdminToken == "" {
			return fmt.Errorf("%w: EDGE_ADMIN_TOKEN_FILE: is empty: no token would be asked for", ErrConfig)
		}
	}
	return nil
}
