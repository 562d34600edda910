// Package umf is the message format: scanning, building, addressing, signing.
package umf
