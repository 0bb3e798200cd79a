import { useEffect, useState } from 'react';
import { Failure } from '../../api';
import type { Catalogue } from '../catalogue';
import type { DataSource } from '../DataSource';

export type Known = { catalogue?: Catalogue; failure?: Failure };

/** The catalogue of a data source; neither of both while it is on its way. */
export function useCatalogue({ catalogue }: DataSource): Known {
  const [known, setKnown] = useState<Known>({});
  useEffect(() => {
    const waiting = catalogue.subscribe({
      next: (loaded) => setKnown({ catalogue: loaded }),
      error: (failure: Failure) => setKnown({ failure }),
    });
    return () => waiting.unsubscribe();
  }, [catalogue]);
  return known;
}
