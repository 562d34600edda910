// Package natstest is what the tests of bus share: servers, a network that
// hangs, and patience. It imports nothing that it helps to test.
package natstest
