package s3server_test

import (
	"context"
	"crypto/md5"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"

	"gocloud.dev/gcerrors"

	"github.com/wasmesh/wasmesh/test/installed"
	"github.com/wasmesh/wasmesh/test/s3server"
)

func config(t *testing.T) s3server.Config {
	return s3server.Config{
		Binary:    installed.Tool(t, "versitygw"),
		Dir:       t.TempDir(),
		AccessKey: "AKIAIOSFODNN7EXAMPLE",
		SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		Region:    "us-south",
	}
}

func start(t *testing.T, config s3server.Config) *s3server.Server {
	t.Helper()
	server, err := s3server.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	return server
}

func TestServesTheSampleModels(t *testing.T) {
	samples := installed.SampleModels(t)
	server := start(t, config(t))
	ctx := t.Context()
	if err := server.Upload(ctx, samples.Bucket, filepath.Join(samples.Dir, samples.Bucket)); err != nil {
		t.Fatal(err)
	}
	bucket, err := server.Bucket(ctx, samples.Bucket)
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()

	want := map[string]int64{}
	for _, model := range samples.Models {
		want[model.Key] = model.Bytes
	}
	got := map[string]int64{}
	for objects := bucket.List(nil); ; {
		object, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[object.Key] = object.Size
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("listed %v, want %v", got, want)
	}

	key := samples.Models[0].Key
	wantBytes, err := os.ReadFile(filepath.Join(samples.Dir, samples.Bucket, key))
	if err != nil {
		t.Fatal(err)
	}
	gotBytes, err := bucket.ReadAll(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	if md5.Sum(gotBytes) != md5.Sum(wantBytes) {
		t.Errorf("%s: got %d bytes that differ from the %d that were put", key, len(gotBytes), len(wantBytes))
	}
}

func TestETagFollowsTheContentAndSurvivesARestart(t *testing.T) {
	config := config(t)
	server := start(t, config)
	ctx := t.Context()
	if err := server.MakeBucket("models"); err != nil {
		t.Fatal(err)
	}
	put := func(content string) string {
		t.Helper()
		bucket, err := server.Bucket(ctx, "models")
		if err != nil {
			t.Fatal(err)
		}
		defer bucket.Close()
		if err := bucket.WriteAll(ctx, "a/model", []byte(content), nil); err != nil {
			t.Fatal(err)
		}
		return etag(t, server)
	}
	first := put("one")
	second := put("two")
	if first == "" || first == second {
		t.Errorf("ETags of two contents: %q and %q, want two different ones", first, second)
	}

	server.Stop()
	server = start(t, config)
	if again := etag(t, server); again != second {
		t.Errorf("ETag after a restart = %q, want %q", again, second)
	}
}

func etag(t *testing.T, server *s3server.Server) string {
	t.Helper()
	bucket, err := server.Bucket(t.Context(), "models")
	if err != nil {
		t.Fatal(err)
	}
	defer bucket.Close()
	attributes, err := bucket.Attributes(t.Context(), "a/model")
	if err != nil {
		t.Fatal(err)
	}
	return attributes.ETag
}

func TestRefuses(t *testing.T) {
	server := start(t, config(t))
	if err := server.MakeBucket("models"); err != nil {
		t.Fatal(err)
	}
	open := func(t *testing.T, name string) error {
		bucket, err := server.Bucket(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		defer bucket.Close()
		_, err = bucket.ReadAll(t.Context(), "absent")
		return err
	}
	if err := open(t, "models"); gcerrors.Code(err) != gcerrors.NotFound {
		t.Errorf("absent object: %v, want NotFound", err)
	}
	if err := open(t, "elsewhere"); err == nil || !strings.Contains(err.Error(), "NoSuchBucket") {
		t.Errorf("absent bucket: %v, want NoSuchBucket", err)
	}
}

func TestStartFails(t *testing.T) {
	t.Run("address taken", func(t *testing.T) {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		config := config(t)
		config.Address = listener.Addr().String()
		_, err = s3server.Start(t.Context(), config)
		if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), config.Address) {
			t.Errorf("Start = %v, want EADDRINUSE and the address %s", err, config.Address)
		}
	})
	t.Run("server says why", func(t *testing.T) {
		config := config(t)
		config.AccessKey = ""
		_, err := s3server.Start(t.Context(), config)
		if err == nil || !strings.Contains(err.Error(), "root user access") {
			t.Errorf("Start = %v, want the server's own words", err)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s3server.Start(ctx, config(t)); !errors.Is(err, context.Canceled) {
			t.Errorf("Start = %v, want context.Canceled", err)
		}
	})
}

func TestStopEndsTheProcess(t *testing.T) {
	server := start(t, config(t))
	server.Stop()
	<-server.Done()
	if err := syscall.Kill(server.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d after Stop: %v, want no such process", server.PID(), err)
	}
}
