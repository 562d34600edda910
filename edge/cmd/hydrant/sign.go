package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"hydrant/umf"
)

func runSign(_ context.Context, args []string, out io.Writer) error {
	flags := newFlags("sign", "")
	secretFile := flags.String("secret-file", "", "file with the shared secret; else the variable UMF_SECRET")
	if err := parse(flags, args); err != nil {
		return err
	}
	secret, err := readSecret(*secretFile)
	if err != nil {
		return err
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	var e umf.Envelope
	if err := umf.Scan(text, &e); err != nil {
		return fmt.Errorf("not a UMF message: %w", err)
	}
	if err := e.Check(); err != nil { // no node takes it, signed or not
		return fmt.Errorf("not a UMF message: %w", err)
	}
	var msg umf.Message
	if err := json.Unmarshal(text, &msg); err != nil {
		return fmt.Errorf("not a UMF message: %w", err)
	}
	if err := msg.Sign(secret); err != nil {
		return err
	}
	signed, err := json.Marshal(&msg)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", signed)
	return err
}

// readSecret keeps secrets out of the list of processes.
func readSecret(file string) (string, error) {
	if file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		return string(trimNewline(text)), nil
	}
	if secret := os.Getenv("UMF_SECRET"); secret != "" {
		return secret, nil
	}
	return "", errors.New("no secret: set UMF_SECRET or -secret-file")
}

func trimNewline(text []byte) []byte {
	for len(text) > 0 && (text[len(text)-1] == '\n' || text[len(text)-1] == '\r') {
		text = text[:len(text)-1]
	}
	return text
}
