-- Models and versions that change after they were made, and lists of them by any field.

ALTER TABLE registered_models ADD COLUMN team text;
ALTER TABLE registered_models ADD COLUMN deleted_at timestamptz;
ALTER TABLE registered_models ADD COLUMN deleted_by text;
CREATE INDEX registered_models_by_creation ON registered_models (project, created_at, id);
CREATE INDEX registered_models_by_owner ON registered_models (project, owner, name);
CREATE INDEX registered_models_by_team ON registered_models (project, team, name);
CREATE INDEX registered_models_by_tag ON registered_models USING gin (tags jsonb_path_ops);

-- A name that a model once had stays its own: its key on Kafka has a history, which another model must not continue.
CREATE TABLE former_model_names (
    project             text NOT NULL,
    name                text NOT NULL,
    registered_model_id uuid NOT NULL REFERENCES registered_models (id),
    PRIMARY KEY (project, name)
);

-- The evidence stays as it was; these begin as the evidence has them, and people change them.
ALTER TABLE model_versions ADD COLUMN description text;
ALTER TABLE model_versions ADD COLUMN tags jsonb NOT NULL DEFAULT '{}';
ALTER TABLE model_versions ADD COLUMN model_card jsonb;
ALTER TABLE model_versions ADD COLUMN custom_metadata jsonb NOT NULL DEFAULT '{}';
ALTER TABLE model_versions ADD COLUMN build_status text NOT NULL DEFAULT 'ready'
    CHECK (build_status IN ('training', 'evaluating', 'ready', 'failed'));
ALTER TABLE model_versions ADD COLUMN review_status text NOT NULL DEFAULT 'pending_review'
    CHECK (review_status IN ('pending_review', 'approved', 'rejected'));
ALTER TABLE model_versions ADD COLUMN updated_at timestamptz NOT NULL DEFAULT now();
UPDATE model_versions SET
    description = evidence ->> 'description', tags = coalesce(evidence -> 'tags', '{}'), updated_at = created_at;

-- The features of the next lower semantic version that declares any decide how large a step must be.
CREATE INDEX model_versions_with_features ON model_versions (registered_model_id, semver)
    WHERE jsonb_array_length(evidence -> 'feature_schema') > 0;

-- Lists of a model's versions and of a project's: each sort has an index that ends in what makes it a total order.
ALTER TABLE model_versions ADD COLUMN project text;
UPDATE model_versions v SET project = m.project FROM registered_models m WHERE m.id = v.registered_model_id;
ALTER TABLE model_versions ALTER COLUMN project SET NOT NULL;
CREATE INDEX model_versions_by_creation ON model_versions (registered_model_id, created_at, number);
CREATE INDEX model_versions_by_update ON model_versions (registered_model_id, updated_at, number);
CREATE INDEX model_versions_of_project_by_creation ON model_versions (project, created_at, id);
CREATE INDEX model_versions_of_project_by_update ON model_versions (project, updated_at, id);
CREATE INDEX model_versions_of_project_by_run ON model_versions (project, run_id) WHERE run_id IS NOT NULL;

-- The metrics of the evidence once more, to sort and to filter by any of them.
CREATE TABLE version_metrics (
    version_id          uuid             NOT NULL REFERENCES model_versions (id),
    name                text             NOT NULL,
    value               double precision NOT NULL,
    number              integer          NOT NULL,
    registered_model_id uuid             NOT NULL,
    project             text             NOT NULL,
    PRIMARY KEY (version_id, name)
);
CREATE INDEX version_metrics_by_value ON version_metrics (registered_model_id, name, value, number);
CREATE INDEX version_metrics_of_project_by_value ON version_metrics (project, name, value, version_id);
INSERT INTO version_metrics (version_id, name, value, number, registered_model_id, project)
SELECT v.id, metric.name, metric.value::double precision, v.number, v.registered_model_id, v.project
FROM model_versions v, jsonb_each_text(v.evidence -> 'metrics') AS metric (name, value);
