package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"hydrant/edge/client"
)

// Two clients: one asks a service and writes to the other, which shows what it gets and
// confirms it.
func Example() {
	url, stop := startNode() // ws://localhost:5353, say
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	ann, err := client.Dial(ctx, client.Options{URLs: []string{url}})
	if err != nil {
		log.Fatal(err)
	}
	defer ann.Close()
	bob, err := client.Dial(ctx, client.Options{URLs: []string{url}})
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()

	answer, err := ann.Request(ctx, client.Message{To: "echo:/", Body: "hello"})
	if err != nil {
		log.Fatal(err)
	}
	// Stored, once it returns: Bob gets it, wherever he is.
	if err := ann.Send(ctx, client.Message{To: bob.Session().ID + "@client:/", Body: answer.Body}); err != nil {
		log.Fatal(err)
	}

	d, err := bob.Receive(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", d.Body)
	d.Done()
	// Output: "hello"
}

// A session goes on in the next process, which gets what came meanwhile.
func ExampleOptions_resume() {
	url, stop := startNode()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	first, err := client.Dial(ctx, client.Options{URLs: []string{url}})
	if err != nil {
		log.Fatal(err)
	}
	first.Close()
	kept := first.Session() // into a file, which nobody else may read

	other, err := client.Dial(ctx, client.Options{URLs: []string{url}})
	if err != nil {
		log.Fatal(err)
	}
	defer other.Close()
	for n := 1; n <= 3; n++ {
		if err := other.Send(ctx, client.Message{To: kept.ID + "@client:/", Body: n}); err != nil {
			log.Fatal(err)
		}
	}

	next, err := client.Dial(ctx, client.Options{URLs: []string{url}, Resume: kept})
	if err != nil {
		log.Fatal(err)
	}
	defer next.Close()
	for range 3 {
		d, err := next.Receive(ctx)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", d.Body)
		d.Done()
	}
	// Output:
	// 1
	// 2
	// 3
}
