package s3server

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"
)

// MakeBucket makes a bucket; one that exists stays as it is.
func (s *Server) MakeBucket(name string) error {
	// The posix backend's buckets are the directories of its root.
	if err := os.MkdirAll(filepath.Join(s.config.buckets(), name), 0o755); err != nil {
		return fmt.Errorf("make bucket %s: %w", name, err)
	}
	return nil
}

// Bucket opens a bucket as the server's account; the caller closes it. A bucket that does not exist is an error of the
// first call on it.
func (s *Server) Bucket(ctx context.Context, name string) (*blob.Bucket, error) {
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(s.URL()),
		Region:       s.config.Region,
		UsePathStyle: true,
		Credentials:  credentials.NewStaticCredentialsProvider(s.config.AccessKey, s.config.SecretKey, ""),
	})
	bucket, err := s3blob.OpenBucket(ctx, client, name, nil)
	if err != nil {
		return nil, fmt.Errorf("open bucket %s: %w", name, err)
	}
	return bucket, nil
}

// Upload puts every file under dir into a bucket, which it makes, under its slash-separated path below dir. Objects of
// other names stay.
func (s *Server) Upload(ctx context.Context, name, dir string) error {
	if err := s.MakeBucket(name); err != nil {
		return err
	}
	bucket, err := s.Bucket(ctx, name)
	if err != nil {
		return err
	}
	defer bucket.Close()
	root := os.DirFS(dir)
	return fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		if err := put(ctx, bucket, root, path); err != nil {
			return fmt.Errorf("put %s into bucket %s: %w", path, name, err)
		}
		return nil
	})
}

func put(ctx context.Context, bucket *blob.Bucket, root fs.FS, path string) error {
	file, err := root.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return bucket.Upload(ctx, path, file, &blob.WriterOptions{ContentType: "application/octet-stream"})
}
