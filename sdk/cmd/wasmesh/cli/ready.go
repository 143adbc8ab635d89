package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

const (
	// pollReady is how often `ready` asks.
	pollReady = 500 * time.Millisecond
	// maxReadyBytes is how much of an answer is waited for.
	maxReadyBytes = 1 << 20
	// readyTimeout bounds one attempt.
	readyTimeout = 5 * time.Second
)

func newReady() *cobra.Command {
	timeout := time.Duration(0)
	command := &cobra.Command{
		Use:   "ready URL...",
		Short: "Wait until each URL is answered",
		Long: `ready asks each URL again and again until something answers it over HTTP, whatever it answers short of an error of its own
(5xx), and fails when that takes too long. The test of the chart runs it in a pod.`,
		Example: "  wasmesh ready --timeout 60s http://wasmesh-controller.wasmesh.svc:8080/metrics",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(command.Context(), timeout)
			defer cancel()
			for _, target := range args {
				if err := awaitAnswer(ctx, target); err != nil {
					return err
				}
				fmt.Fprintln(command.OutOrStdout(), target, "answers")
			}
			return nil
		},
	}
	command.Flags().DurationVar(&timeout, "timeout", time.Minute, "how long all of them together may take")
	return command
}

// awaitAnswer asks until it is answered, or ctx ends; the error is of the last attempt.
func awaitAnswer(ctx context.Context, target string) error {
	for {
		err := answers(ctx, target)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w", target, err)
		case <-time.After(pollReady):
		}
	}
}

func answers(ctx context.Context, target string) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(response.Body, maxReadyBytes)) // So that a body which breaks off is no answer.
	if err = errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("it answers %s", response.Status)
	}
	return nil
}
