package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"hydrant/edge/internal/config"
)

// healthTimeout is less than what container engines wait for a check.
const healthTimeout = 2 * time.Second

// runHealthcheck asks the node on this machine through its administrators'
// listener. It needs no shell and no curl, so it works in an image from
// scratch.
func runHealthcheck(ctx context.Context, args []string, out io.Writer) error {
	flags := newFlags("healthcheck", environmentHelp)
	ready := flags.Bool("ready", false, "ask whether the node takes clients, not only whether it is alive: a restart cures nothing that NATS has")
	if err := parse(flags, args); err != nil {
		return err
	}
	cfg, err := config.Load()
	if err != nil {
		return err
	}
	if cfg.AdminListen == "" {
		return errors.New("the node has no administrators' listener to ask: EDGE_ADMIN_LISTEN is empty")
	}
	host, err := localAddress(cfg.AdminListen)
	if err != nil {
		return err
	}
	path := "/healthz"
	if *ready {
		path = "/readyz"
	}
	if err := askHealth(ctx, host, path); err != nil {
		return err
	}
	_, err = fmt.Fprintln(out, "ok")
	return err
}

// askHealth asks a node's listener once. An answer that is not good is an error
// that says why.
func askHealth(ctx context.Context, host, path string) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+host+path, nil)
	if err != nil {
		return err
	}
	// Not the default transport: a proxy of the environment is for others.
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s: %s", path, response.Status, whyNot(text))
	}
	return nil
}

// whyNot takes the reasons from an answer of /readyz, or all of another.
func whyNot(text []byte) string {
	var answer struct {
		Reasons []string `json:"reasons"`
	}
	if json.Unmarshal(text, &answer) == nil && len(answer.Reasons) > 0 {
		return strings.Join(answer.Reasons, "; ")
	}
	return strings.TrimSpace(string(text))
}

// localAddress is where a program on this machine reaches a listener.
func localAddress(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", err // the configuration has been checked
	}
	switch host {
	case "", "0.0.0.0": // not localhost: an image from scratch may have no hosts file
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}
