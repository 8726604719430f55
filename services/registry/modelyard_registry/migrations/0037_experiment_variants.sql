-- The variants of experiments as rows: the one place in SQL that knows how their JSON is made.
CREATE VIEW experiment_variants (experiment_id, project, model_type, state, name, model, number) AS
SELECT e.id, e.project, e.model_type, e.state, v.name, v.model, v.number
FROM experiments e, jsonb_to_recordset(e.variants) AS v (name text, model text, number integer);
