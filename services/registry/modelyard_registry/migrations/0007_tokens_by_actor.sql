-- What an actor's tokens let it do is asked whenever an approval is judged anew.
CREATE INDEX api_tokens_by_actor ON api_tokens (actor, project);
