select * from table(snowflake.spcs.get_job_history(

))
WHERE DATABASE_NAME = 'TESTDB' AND SCHEMA_NAME = 'PUBLIC' AND DELETED_TIME IS NULL
LIMIT 5
;;
SELECT "NAME" AS "name", "STATUS" AS "status", "MESSAGE" AS "message", "DATABASE_NAME" AS "database_name", "SCHEMA_NAME" AS "schema_name", "OWNER" AS "owner", "COMPUTE_POOL_NAME" AS "compute_pool", coalesce("PARAMETERS"['REPLICAS'], 1) AS "target_instances", "CREATED_TIME" AS "created_time", "COMPLETED_TIME" AS "completed_time" FROM (select * from table(snowflake.spcs.get_job_history(

))
WHERE DATABASE_NAME = 'TESTDB' AND SCHEMA_NAME = 'PUBLIC' AND DELETED_TIME IS NULL
LIMIT 5)
;;
SELECT  *  FROM ( SELECT "name", "status", NULL AS "message", "database_name", "schema_name", "owner", "compute_pool", "target_instances", "created_on" AS "created_time",  CASE  WHEN "status" IN ('DONE', 'CANCELLED', 'INTERNAL_ERROR', 'FAILED', 'DELETED') THEN "updated_on" ELSE NULL END  AS "completed_time" FROM ( SELECT  *  FROM  TABLE ( RESULT_SCAN('01b2c3d4-0000-0000-0000-000000000001')))) ORDER BY "created_time" DESC NULLS LAST
;;
SELECT "name", "status", NULL AS "message", "database_name", "schema_name", "owner", "compute_pool", "target_instances", "created_on" AS "created_time",  CASE  WHEN "status" IN ('DONE', 'CANCELLED', 'INTERNAL_ERROR', 'FAILED', 'DELETED') THEN "updated_on" ELSE NULL END  AS "completed_time" FROM ( SELECT NULL :: STRING(16777216) AS "name", NULL :: STRING(16777216) AS "status", NULL :: STRING(16777216) AS "database_name", NULL :: STRING(16777216) AS "schema_name", NULL :: STRING(16777216) AS "owner", NULL :: STRING(16777216) AS "compute_pool", NULL :: STRING(16777216) AS "created_on", NULL :: STRING(16777216) AS "updated_on", NULL :: BIGINT AS "target_instances")
;;
SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?, ?)
;;
SELECT SYSTEM$GET_SERVICE_LOGS(?, ?, ?)
;;
select DATABASE_NAME, SCHEMA_NAME, NAME, STATUS, COMPUTE_POOL_NAME, PARAMETERS
        from table(snowflake.spcs.get_job_history())
        where database_name = ? and schema_name = ? and name = ?
;;
select system$cancel_all_queries(123)
;;
select 1
;;
select 1 as X
;;
SELECT "name" FROM ( SELECT  *  FROM  TABLE ( RESULT_SCAN('01b2c3d4-0000-0000-0000-000000000001')))
;;
select * from t
;;
SELECT  *  FROM (select * from t) WHERE ("X" = 'a') LIMIT 3
;;
SELECT count(1) AS "COUNT(LITERAL())" FROM ( SELECT  *  FROM  TABLE ( RESULT_SCAN('01b2c3d4-0000-0000-0000-000000000001'))) LIMIT 1
;;
select ?
;;
SELECT  *  FROM t
;;
SELECT $1 AS "A", $2 AS "B" FROM  VALUES (0 :: BIGINT, 'a' :: STRING)
;;
SELECT "A", "B" FROM ( SELECT $1 AS "A", $2 AS "B" FROM  VALUES (1 :: INT, 'a' :: STRING))
;;
SELECT "A", "B" FROM ( SELECT $1 AS "A", $2 AS "B" FROM  VALUES (0 :: BIGINT, 'a' :: STRING))
