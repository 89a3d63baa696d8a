/** One API as its vendor might have described it in each of the formats: what differs between them is all in here. */

const TAGS = [{ name: 'pet', description: 'Everything about pets' }, { name: 'store' }];
const INFO = { title: 'Pet store', version: '1.0.7', description: 'Pets, and what is ordered for them.' };

const ref = (place: string, name: string) => ({ $ref: `#/${place}/${name}` });

/** Category and Pet lead back to themselves; Pet is what its petType says. */
function schemas(place: string, nullable: (type: string) => object, discriminator: unknown) {
  return {
    Category: {
      type: 'object',
      properties: {
        id: { type: 'integer', format: 'int64' },
        name: { type: 'string' },
        parent: ref(place, 'Category'),
      },
    },
    Pet: {
      type: 'object',
      required: ['name', 'petType'],
      discriminator,
      properties: {
        id: { type: 'integer', format: 'int64' },
        petType: { type: 'string' },
        name: { type: 'string', minLength: 1 },
        category: ref(place, 'Category'),
        nickname: nullable('string'),
        friends: { type: 'array', items: ref(place, 'Pet') },
        status: { type: 'string', enum: ['available', 'pending', 'sold'] },
      },
    },
    Cat: {
      allOf: [
        ref(place, 'Pet'),
        {
          type: 'object',
          required: ['huntingSkill'],
          properties: { huntingSkill: { type: 'string', enum: ['lazy', 'keen'] } },
        },
      ],
    },
  };
}

const STATUSES = { type: 'array', items: { type: 'string', enum: ['available', 'pending', 'sold'] } };
const ID = { type: 'integer', format: 'int64', minimum: 1 };
const OK = { description: 'Done' };

/** As Swagger 2.0 has it: host and basePath, body and formData, collectionFormat, definitions, securityDefinitions. */
export const SWAGGER_2 = {
  swagger: '2.0',
  info: INFO,
  host: 'petstore.example.com',
  basePath: '/v2',
  schemes: ['https', 'http'],
  tags: TAGS,
  consumes: ['application/json'],
  produces: ['application/json', 'application/xml'],
  securityDefinitions: {
    api_key: { type: 'apiKey', name: 'X-Store-Key', in: 'header' },
    petstore_auth: {
      type: 'oauth2',
      flow: 'accessCode',
      authorizationUrl: 'https://petstore.example.com/oauth/authorize',
      tokenUrl: 'https://petstore.example.com/oauth/token',
      scopes: { 'read:pets': 'read them' },
    },
  },
  security: [{ api_key: [] }],
  parameters: { petId: { name: 'petId', in: 'path', required: true, type: 'integer', format: 'int64', minimum: 1 } },
  responses: { NotFound: { description: 'There is none', schema: { $ref: '#/definitions/Category' } } },
  paths: {
    '/pet': {
      post: {
        tags: ['pet'],
        operationId: 'addPet',
        summary: 'Add a pet',
        parameters: [
          { in: 'body', name: 'body', required: true, schema: ref('definitions', 'Pet') },
          { name: 'X-Store-Key', in: 'header', type: 'string', required: true },
        ],
        responses: { 200: { ...OK, schema: ref('definitions', 'Pet') } },
      },
    },
    '/cat': {
      post: {
        tags: ['pet'],
        operationId: 'addCat',
        summary: 'Add a cat',
        parameters: [{ in: 'body', name: 'body', required: true, schema: ref('definitions', 'Cat') }],
        responses: { 200: OK },
      },
    },
    '/pet/findByStatus': {
      get: {
        tags: ['pet'],
        operationId: 'findPetsByStatus',
        summary: 'Find pets by their status',
        parameters: [
          { name: 'status', in: 'query', required: true, ...STATUSES, collectionFormat: 'multi' },
          { name: 'fields', in: 'query', type: 'array', items: { type: 'string' }, collectionFormat: 'csv' },
          { name: 'sort', in: 'query', type: 'array', items: { type: 'string' }, collectionFormat: 'pipes' },
        ],
        responses: { 200: { ...OK, schema: { type: 'array', items: ref('definitions', 'Pet') } } },
      },
    },
    '/pet/{petId}': {
      parameters: [{ $ref: '#/parameters/petId' }],
      get: {
        tags: ['pet'],
        operationId: 'getPetById',
        summary: 'Find a pet by its id',
        responses: { 200: { ...OK, schema: ref('definitions', 'Pet') }, 404: { $ref: '#/responses/NotFound' } },
      },
      post: {
        tags: ['pet'],
        operationId: 'updatePetWithForm',
        summary: 'Change a pet by a form',
        consumes: ['application/x-www-form-urlencoded'],
        parameters: [
          { name: 'name', in: 'formData', type: 'string', required: true },
          { name: 'status', in: 'formData', type: 'string', enum: ['available', 'pending', 'sold'] },
          { name: 'labels', in: 'formData', type: 'array', items: { type: 'string' }, collectionFormat: 'csv' },
        ],
        responses: { 405: { description: 'Not so' } },
      },
    },
    '/pet/{petId}/image': {
      post: {
        tags: ['pet'],
        operationId: 'uploadImage',
        summary: 'Upload a picture',
        consumes: ['multipart/form-data'],
        parameters: [
          { $ref: '#/parameters/petId' },
          { name: 'note', in: 'formData', type: 'string' },
          { name: 'file', in: 'formData', type: 'file', required: true },
        ],
        responses: { 200: OK },
      },
    },
    '/store/inventory': { get: { tags: ['store'], summary: 'How many of each', responses: { 200: OK } } },
  },
  definitions: schemas('definitions', (type) => ({ type, 'x-nullable': true }), 'petType'),
};

const json = (schema: object) => ({ 'application/json': { schema } });
const query = (name: string, schema: object, more: object = {}) => ({ name, in: 'query', schema, ...more });

function openApi3(openapi: string, nullable: (type: string) => object, file: object) {
  const place = 'components/schemas';
  const petId = { $ref: '#/components/parameters/petId' };
  const list = { type: 'array', items: { type: 'string' } };
  return {
    openapi,
    info: INFO,
    servers: [{ url: 'https://petstore.example.com/{version}', variables: { version: { default: 'v2' } } }],
    tags: TAGS,
    security: [{ api_key: [] }],
    paths: {
      '/pet': {
        post: {
          tags: ['pet'],
          operationId: 'addPet',
          summary: 'Add a pet',
          parameters: [{ name: 'X-Store-Key', in: 'header', schema: { type: 'string' }, required: true }],
          requestBody: { required: true, content: json(ref(place, 'Pet')) },
          responses: { 200: { ...OK, content: json(ref(place, 'Pet')) } },
        },
      },
      '/cat': {
        post: {
          tags: ['pet'],
          operationId: 'addCat',
          summary: 'Add a cat',
          requestBody: { required: true, content: json(ref(place, 'Cat')) },
          responses: { 200: OK },
        },
      },
      '/pet/findByStatus': {
        get: {
          tags: ['pet'],
          operationId: 'findPetsByStatus',
          summary: 'Find pets by their status',
          parameters: [
            query('status', STATUSES, { required: true }),
            query('fields', list, { explode: false }),
            query('sort', list, { style: 'pipeDelimited', explode: false }),
          ],
          responses: { 200: { ...OK, content: json({ type: 'array', items: ref(place, 'Pet') }) } },
        },
      },
      '/pet/{petId}': {
        parameters: [petId],
        get: {
          tags: ['pet'],
          operationId: 'getPetById',
          summary: 'Find a pet by its id',
          responses: {
            200: { ...OK, content: json(ref(place, 'Pet')) },
            404: { $ref: '#/components/responses/NotFound' },
          },
        },
        post: {
          tags: ['pet'],
          operationId: 'updatePetWithForm',
          summary: 'Change a pet by a form',
          requestBody: {
            required: true,
            content: {
              'application/x-www-form-urlencoded': {
                schema: {
                  type: 'object',
                  required: ['name'],
                  properties: { name: { type: 'string' }, status: STATUSES.items, labels: list },
                  additionalProperties: false,
                },
                encoding: { labels: { style: 'form', explode: false } },
              },
            },
          },
          responses: { 405: { description: 'Not so' } },
        },
      },
      '/pet/{petId}/image': {
        post: {
          tags: ['pet'],
          operationId: 'uploadImage',
          summary: 'Upload a picture',
          parameters: [petId],
          requestBody: {
            required: true,
            content: {
              'multipart/form-data': {
                schema: { type: 'object', required: ['file'], properties: { note: { type: 'string' }, file } },
              },
            },
          },
          responses: { 200: OK },
        },
      },
      '/store/inventory': { get: { tags: ['store'], summary: 'How many of each', responses: { 200: OK } } },
    },
    components: {
      parameters: { petId: { name: 'petId', in: 'path', required: true, schema: ID } },
      responses: { NotFound: { description: 'There is none', content: json(ref(place, 'Category')) } },
      schemas: schemas(place, nullable, { propertyName: 'petType' }),
      securitySchemes: { api_key: { type: 'apiKey', name: 'X-Store-Key', in: 'header' } },
    },
  };
}

export const OPENAPI_3_0 = openApi3('3.0.3', (type) => ({ type, nullable: true }), {
  type: 'string',
  format: 'binary',
});
export const OPENAPI_3_1 = openApi3('3.1.0', (type) => ({ type: [type, 'null'] }), {
  type: 'string',
  contentMediaType: 'application/octet-stream',
});
